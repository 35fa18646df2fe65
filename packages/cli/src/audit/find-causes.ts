import {
  bareIdentityOf,
  type Blame,
  type BlamedRule,
  blameRules,
  findChain,
  isServiceChain,
  type RuleChange,
  type RulesetOptions,
  whatChanged,
} from '@pointsman/backend-iptables'
import {
  type ChangeLogReader,
  type IpFamily,
  parseServicePortName,
  type ProxyConfig,
  type Seq,
  type ServiceEdit,
  serviceName,
  type ServiceName,
} from '@pointsman/core'
import { parsePastedRule } from '../blame/pasted-rule.js'
import type { PlacedFinding } from './find-findings.js'

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

export interface CausesQuestion {
  readonly reader: ChangeLogReader
  readonly toSeq: Seq
  readonly nodeName: string | undefined
  readonly config: ProxyConfig | 'recorded'
  readonly machine: Omit<RulesetOptions, 'family' | 'keepComments'>
}

/** Looking one up goes through the history of its Service: of more findings it is not told. */
export const MOST_CAUSES = 200

/**
 * The record of the log that would have made or removed the rule of each finding: for a rule that is there whatever services
 * there are, one of the Node or of the configuration. Yields how many were looked up.
 */
export function* findCauses(
  findings: readonly PlacedFinding[],
  question: CausesQuestion,
): Generator<number, ReadonlyMap<PlacedFinding, FindingCause>, undefined> {
  const causes = new Map<PlacedFinding, FindingCause>()
  const histories = new Map<string, Blame>()
  for (const [at, finding] of findings.slice(0, MOST_CAUSES).entries()) {
    yield at
    const service = yield* serviceOf(finding, question, at)
    if (service === undefined) continue
    const cause = GONE.has(finding.type)
      ? yield* removalOf(finding, { ...question, service, at })
      : yield* makingOf(finding, { ...question, service, at, histories })
    if (cause !== undefined) causes.set(finding, cause)
  }
  return causes
}

const GONE: ReadonlySet<PlacedFinding['type']> = new Set<PlacedFinding['type']>(['LEFT_OVER_CHAIN', 'LEFT_OVER_RULE'])

/** Whose a finding is: as is known, as its comment says, else as the hash in its chain's name says; `none` where no service has a part in it. */
function* serviceOf(
  { owner, claims, chain, expected }: PlacedFinding,
  { reader, toSeq }: CausesQuestion,
  at: number,
): Generator<number, ServiceName | 'none' | undefined, undefined> {
  if (owner !== undefined) return parseServicePortName(owner).service
  const [, namespace, name] = /^([^/]+)\/([^:]+)/.exec(claims ?? '') ?? []
  if (namespace !== undefined && name !== undefined) return serviceName(namespace, name)
  if (!isServiceChain(chain)) return expected === undefined ? undefined : 'none'
  const found = yield* counting(findChain(chain, { reader, toSeq }), at)
  return found?.service
}

interface OfService extends CausesQuestion {
  readonly service: ServiceName | 'none'
  readonly at: number
}

/** The last record that took the rules of the chain, or this rule, away. */
function* removalOf(
  finding: PlacedFinding,
  { at, ...question }: OfService,
): Generator<number, FindingCause | undefined, undefined> {
  const isMeant = matcherOf(finding.found?.[0], { ...finding, anyOfChain: finding.type === 'LEFT_OVER_CHAIN' })
  const blame = yield* counting(
    blameRules({ ...blameOf(question, finding.family), service: question.service, accepts: isMeant }),
    at,
  )
  const [gone] = blame.lastGone
  return gone && causeOf('removed', { blame, rule: gone, change: gone.removed })
}

function* makingOf(
  finding: PlacedFinding,
  { at, histories, ...question }: OfService & { readonly histories: Map<string, Blame> },
): Generator<number, FindingCause | undefined, undefined> {
  const key = `${finding.family} ${question.service}`
  const known = histories.get(key)
  const blame =
    known ?? (yield* counting(blameRules({ ...blameOf(question, finding.family), service: question.service }), at))
  histories.set(key, blame)
  const rule = blame.rules.find(matcherOf(finding.expected?.[0], { ...finding, anyOfChain: false }))
  if (rule === undefined) return undefined
  return causeOf('made', { blame, rule, change: finding.type === 'CHANGED_RULE' ? rule.changed : rule.made })
}

interface Blamed {
  readonly blame: Blame
  readonly rule: BlamedRule
  readonly change: RuleChange
}

function causeOf(did: FindingCause['did'], { blame, rule, change }: Blamed): FindingCause {
  const behind = blame.editBehind(change.cause)
  const isConfigured = change.cause.type === 'start' && rule.owner === undefined
  const what = isConfigured ? 'the configuration' : whatChanged(change, rule)
  return { did, change, what, ...(behind && { behind }) }
}

const blameOf = (
  { reader, toSeq, nodeName, config, machine }: CausesQuestion,
  family: IpFamily,
): Parameters<typeof blameRules>[0] => ({ reader, toSeq, nodeName, config, options: { ...machine, family } })

function matcherOf(
  text: string | undefined,
  { table, anyOfChain }: { readonly table: string; readonly anyOfChain: boolean },
): (rule: Pick<BlamedRule, 'table' | 'chain' | 'rule'>) => boolean {
  if (text === undefined) return () => false
  const { chain, rule } = parsePastedRule(text)
  const wanted = bareIdentityOf(rule)
  return (blamed) =>
    blamed.table === table && blamed.chain === chain && (anyOfChain || bareIdentityOf(blamed.rule) === wanted)
}

function* counting<Result>(steps: Generator<unknown, Result, undefined>, at: number): Generator<number, Result> {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
    yield at
  }
}
