import {
  type AuditFinding,
  type Blame,
  type BlamedRule,
  blameRules,
  type ChangeLogReader,
  type Dataplane,
  type FindingKind,
  type IpFamily,
  parseServicePortName,
  type PlanOptions,
  type ProxyConfig,
  type RuleChange,
  type RuleItem,
  type Seq,
  type ServiceEdit,
  serviceName,
  type ServiceName,
  whatChanged,
} from '@pointsman/core'

/** The record that a finding's rule goes back to. */
export interface FindingCause {
  /** Whether the rule that should be there came with it, or the one that should not went. */
  readonly did: 'made' | 'removed'
  readonly change: RuleChange
  /** To the rule, in a few words. */
  readonly what: string
  /** The change of a Service that a change of its slice follows from; absent where there is none. */
  readonly behind?: ServiceEdit
}

interface CausesQuestion {
  readonly dataplane: Dataplane
  readonly reader: ChangeLogReader
  readonly toSeq: Seq
  readonly nodeName: string | undefined
  readonly config: ProxyConfig | 'recorded'
  readonly machine: Omit<PlanOptions, 'family' | 'keepComments'>
}

/** Looking one up goes through the history of its Service: of more findings it is not told. */
export const MOST_CAUSES = 200

/**
 * The record of the log that would have made or removed the rule of each finding: for a rule that is there whatever services
 * there are, one of the Node or of the configuration. Yields how many were looked up.
 */
export function* findCauses(
  findings: readonly AuditFinding[],
  question: CausesQuestion,
): Generator<number, ReadonlyMap<AuditFinding, FindingCause>, undefined> {
  const causes = new Map<AuditFinding, FindingCause>()
  const histories = new Map<string, Blame>()
  for (const [at, finding] of findings.slice(0, MOST_CAUSES).entries()) {
    yield at
    const service = yield* serviceOf(finding, question, at)
    if (service === undefined) continue
    const cause = isLeftOver(finding, question.dataplane)
      ? yield* removalOf(finding, { ...question, service, at })
      : yield* makingOf(finding, { ...question, service, at, histories })
    if (cause !== undefined) causes.set(finding, cause)
  }
  return causes
}

const causeIn = ({ findings }: Dataplane, { type }: AuditFinding): FindingKind['cause'] =>
  findings[type]?.cause ?? 'made'

/** Whether it is of a service port that is there no more, or was another. */
export function isLeftOver(finding: AuditFinding, dataplane: Dataplane): boolean {
  const cause = causeIn(dataplane, finding)
  return cause === 'removed' || cause === 'emptied'
}

/** Whose a finding is: as is known, as its comment says, else as the hash in its chain's name says; `none` where no service has a part in it. */
function* serviceOf(
  { owner, claims, chain, expected }: AuditFinding,
  { dataplane, reader, toSeq }: CausesQuestion,
  at: number,
): Generator<number, ServiceName | 'none' | undefined, undefined> {
  if (owner !== undefined) return parseServicePortName(owner).service
  const [, namespace, name] = /^([^/]+)\/([^:]+)/.exec(claims ?? '') ?? []
  if (namespace !== undefined && name !== undefined) return serviceName(namespace, name)
  if (!dataplane.isServiceChain(chain)) return expected === undefined ? undefined : 'none'
  const found = yield* counting(dataplane.formerOwnerOfChain(chain, { reader, toSeq }), at)
  return found?.service
}

interface OfService extends CausesQuestion {
  readonly service: ServiceName | 'none'
  readonly at: number
}

/** The last record that took the rules of the chain, or this rule, away. */
function* removalOf(
  finding: AuditFinding,
  { at, ...question }: OfService,
): Generator<number, FindingCause | undefined, undefined> {
  const { dataplane } = question
  const isMeant = matcherOf(finding.found?.[0], { anyOfPlace: causeIn(dataplane, finding) === 'emptied' })
  const blame = yield* counting(
    blameRules({ ...blameOf(question, finding.family), service: question.service, accepts: isMeant }),
    at,
  )
  const [gone] = blame.lastGone
  return gone && causeOf('removed', { dataplane, blame, rule: gone, change: gone.removed })
}

function* makingOf(
  finding: AuditFinding,
  { at, histories, ...question }: OfService & { readonly histories: Map<string, Blame> },
): Generator<number, FindingCause | undefined, undefined> {
  const key = `${finding.family} ${question.service}`
  const known = histories.get(key)
  const blame =
    known ?? (yield* counting(blameRules({ ...blameOf(question, finding.family), service: question.service }), at))
  histories.set(key, blame)
  const isMeant = matcherOf(finding.expected?.[0], { anyOfPlace: false })
  const rule = blame.rules.find(({ item }) => isMeant(item))
  if (rule === undefined) return undefined
  return causeOf('made', {
    dataplane: question.dataplane,
    blame,
    rule,
    change: causeIn(question.dataplane, finding) === 'changed' ? rule.changed : rule.made,
  })
}

interface Blamed {
  readonly dataplane: Dataplane
  readonly blame: Blame
  readonly rule: BlamedRule
  readonly change: RuleChange
}

function causeOf(did: FindingCause['did'], { dataplane, blame, rule, change }: Blamed): FindingCause {
  const behind = blame.editBehind(change.cause)
  const isConfigured = change.cause.type === 'start' && rule.item.owner === undefined
  const what = isConfigured ? 'the configuration' : whatChanged(change, rule, dataplane)
  return { did, change, what, ...(behind && { behind }) }
}

const blameOf = (
  { dataplane, reader, toSeq, nodeName, config, machine }: CausesQuestion,
  family: IpFamily,
): Parameters<typeof blameRules>[0] => ({
  planner: dataplane,
  reader,
  toSeq,
  nodeName,
  config,
  options: { ...machine, family },
})

/** Which items of a history are this one, or are in its place. */
function matcherOf(
  meant: RuleItem | undefined,
  { anyOfPlace }: { readonly anyOfPlace: boolean },
): (item: RuleItem) => boolean {
  if (meant === undefined) return () => false
  const { table, chain, bareIdentity } = meant
  return (item) => item.table === table && item.chain === chain && (anyOfPlace || item.bareIdentity === bareIdentity)
}

function* counting<Result>(steps: Generator<unknown, Result, undefined>, at: number): Generator<number, Result> {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
    yield at
  }
}
