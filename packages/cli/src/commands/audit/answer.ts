import { setTimeout } from 'node:timers/promises'
import {
  type AuditFinding,
  type AuditNote,
  buildState,
  type ChangeLogReader,
  type Dataplane,
  type FamilyRules,
  type IpFamily,
  type NodeInfo,
  type PlanOptions,
  type ProxyConfig,
  type Seq,
  type State,
} from '@pointsman/core'
import { dataplaneOf, warn, type Context } from '../../context.js'
import { runProcess } from '../../dataplanes.js'
import { CliError } from '../../errors.js'
import { askedObjects, readSave, type AskedObjects, type Input, type PointOptions } from '../../input/open-input.js'
import {
  familiesOf,
  familyAsked,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesetCommandOptions,
  type RulesQuestion,
  type RulesQuestionOptions,
  type VariantOptions,
} from '../../input/rules-question.js'
import { interfaceAddresses, machineOf, tcpBeLiberal } from '../../machine/open-machine.js'
import { countOf } from '../../output/format-text.js'
import { createProgress } from '../../output/progress.js'
import { SILENT } from '../../output/terminal.js'
import type { FindingCause } from './causes.js'

/** What the tables are compared with. */
interface Question extends RulesQuestion {
  readonly asked: AskedObjects
}

/** What was there, and what is wrong with it, compared with what is known at the same time. */
export interface Look extends Pick<AuditReport, 'asked' | 'read' | 'layout' | 'findings' | 'notes'> {
  readonly question: Question
}

type QuestionOptions = PointOptions & RulesQuestionOptions & Pick<SourceOptions, 'rules'>

export interface Looking {
  readonly input: Input
  readonly source: TableSource
  readonly options: QuestionOptions
}

export async function questionOf(input: Input, options: QuestionOptions, context: Context): Promise<Question> {
  const asked = askedObjects(input, options, context)
  // Saved rules say themselves of which mode they are.
  const mode = { anyMode: options.rules !== undefined }
  return { asked, ...(await rulesQuestion(asked, options, context, mode)) }
}

/** Without `--layout`, the question is asked again in the layout that the rules have. */
export async function lookAt(source: TableSource, given: Question, { input, options }: LayoutSource): Promise<Look> {
  const read = await source.read()
  const question = askedLayout(given, { read, source, input, options })
  return {
    asked: question.asked,
    question,
    read,
    layout: question.config.layout,
    findings: findFindings(read, question, source),
    notes: findNotes(read, question, source),
  }
}

interface LayoutSource {
  readonly input: Input
  readonly options: Pick<QuestionOptions, 'layout'>
}

interface ReadRules extends LayoutSource {
  readonly read: readonly FamilyRules[]
  readonly source: Pick<TableSource, 'dataplane'>
}

function askedLayout(question: Question, { read, source: { dataplane }, input, options }: ReadRules): Question {
  if (options.layout !== undefined) return question
  const [layout] = read.flatMap(({ rules }) => dataplane.layoutFound?.(rules) ?? [])
  const config = { ...question.config, layout: layout ?? dataplane.layouts[0] }
  if (config.layout !== 'classic' || input.type !== 'objects' || input.withEndpoints === undefined)
    return { ...question, config }
  // kube-proxies of that time read EndpointSlices, or Endpoints where they were set up to.
  const { node } = question.state
  const { node: _, ...state } = buildState({ objects: input.withEndpoints }).state
  return { ...question, config, state: { ...state, ...(node && { node }) } }
}

/**
 * A sync may have been under way, or a change have come after what the log had: after the time that proxies leave between
 * syncs both are read again, and what is there no longer is no finding. Where the log is an agent's, and says that what was
 * known at the first look is in force by now, the rules may also be those of its last sync: more may have come since.
 */
export async function lookAgain(first: Look, looking: Looking, context: Context): Promise<Look> {
  const { input, source, options } = looking
  const { minSyncPeriodMs } = first.question.config
  const patienceMs = Math.min(Math.max(minSyncPeriodMs, LEAST_PATIENCE_MS), MOST_PATIENCE_MS)
  await setTimeout(patienceMs, undefined, { signal: context.interrupted })
  // What there is to warn of was said at the first look.
  const quiet = { ...context, stderr: SILENT }
  const inForce = await questionInForce(first, looking, { context, quiet, patienceMs: MOST_PATIENCE_MS - patienceMs })
  const question = input.type === 'log' ? await questionOf(input, options, quiet) : first.question
  const second = await lookAt(source, question, looking)
  const lasting = persisting(first.findings, second.findings)
  const { read } = second
  const findings = inForce
    ? persisting(findFindings(read, askedLayout(inForce, { read, source, input, options }), source), lasting)
    : lasting
  const gone = first.findings.length - findings.length
  if (gone > 0) context.stderr.print(`${countOf(gone, 'finding')} of a first look had gone at a second: not told`)
  return { ...second, findings }
}

const LEAST_PATIENCE_MS = 1000
const MOST_PATIENCE_MS = 10_000
const POLL_MS = 250

/** What an agent has brought into force since the first look, waited for; undefined where it has not, or there is none. */
async function questionInForce(
  { asked }: Look,
  { input, options }: Looking,
  { context, quiet, patienceMs }: Waiting,
): Promise<Question | undefined> {
  // A point that is asked for is what is meant.
  if (input.type !== 'log' || asked.point === undefined || options.at !== undefined || options.applied) return undefined
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const applied = appliedSince(input.reader, asked.point.seq)
    if (applied.type === 'in-force') return questionOf(input, { ...options, applied: true }, quiet)
    if (applied.type === 'no-agent' || waitedMs >= patienceMs) return undefined
    if (waitedMs === 0)
      context.stderr.print('the agent that writes the log is behind: waiting for it, some seconds at most')
    await setTimeout(POLL_MS, undefined, { signal: context.interrupted })
  }
}

interface Waiting {
  readonly context: Context
  /** The same, but for what it would say of the log once more. */
  readonly quiet: Context
  readonly patienceMs: number
}

/** Whether the agent that writes a log has brought into force what it had heard at some point. */
type AppliedSince =
  | { readonly type: 'in-force' }
  /** It has not yet, or cannot. */
  | { readonly type: 'behind' }
  /** Nobody syncs by what is in this log. */
  | { readonly type: 'no-agent' }

/** By the last successful sync of the log, and the last change of an object at or before the point. */
export function appliedSince(
  reader: Pick<ChangeLogReader, 'info' | 'appliedAt' | 'records'>,
  point: Seq,
): AppliedSince {
  const sync = reader.appliedAt(reader.info().lastSeq)
  if (sync === undefined) return { type: 'no-agent' }
  const [heard] = reader.records({ toSeq: point, types: ['object'], descending: true, limit: 1 })
  return { type: heard === undefined || heard.seq <= sync.toSeq ? 'in-force' : 'behind' }
}

/** The findings and notes of what was read, compared with the rules of the state. */
const findFindings = (
  read: readonly FamilyRules[],
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  { dataplane, machine }: { readonly dataplane: Dataplane; readonly machine: Omit<PlanOptions, 'family'> },
): readonly AuditFinding[] =>
  read.flatMap(({ family, rules }) => dataplane.audit(rules, { state, config }, { ...machine, family }))

const findNotes = (
  read: readonly FamilyRules[],
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  { dataplane, machine }: { readonly dataplane: Dataplane; readonly machine: Omit<PlanOptions, 'family'> },
): readonly AuditNote[] =>
  read.flatMap(({ family, rules }) => dataplane.auditNotes?.(rules, { state, config }, { ...machine, family }) ?? [])

/** Those of the first look that the second had as well. */
function persisting(first: readonly AuditFinding[], second: readonly AuditFinding[]): readonly AuditFinding[] {
  const seen = new Set(first.map(keyOf))
  return second.filter((finding) => seen.has(keyOf(finding)))
}

// How much there is of it may change between two looks.
const keyOf = ({ expected, found, count: _, detail: _detail, ...rest }: AuditFinding): string =>
  JSON.stringify([rest, expected?.map(({ line }) => line), found?.map(({ line }) => line)])

/** Where an audit reads the tables from. */
interface TableSource {
  readonly dataplane: Dataplane
  /** Whether reading again may give something else. */
  readonly isLive: boolean
  /** `iptables-nft 1.8.9`, or the file. */
  readonly name: string
  /** What the rules should rely on there, besides their family. */
  readonly machine: Omit<PlanOptions, 'family'>
  readonly read: () => Promise<readonly FamilyRules[]>
}

export interface SourceOptions extends RulesetCommandOptions, VariantOptions {
  readonly rules?: string
}

/** The file of `--rules`. CliError BAD_INPUT for what is no save. */
export async function savedSource(
  path: string,
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: SourceOptions,
  context: Context,
): Promise<TableSource> {
  const [first] = context.dataplanes
  const dataplane = context.dataplanes.find(({ mode }) => mode === config.mode) ?? first
  const { name, rules } = await readSave(
    { path, dataplanes: [dataplane], family: familiesOf(options, state)[0] },
    context,
  )
  if (rules.isPart === true)
    throw new CliError(
      'BAD_INPUT',
      `${name} is a part of the rules, and an audit needs all: give the whole output of \`iptables-save\` (\`pointsman trace\` reads parts)`,
    )
  for (const note of rules.notes ?? []) warn(context, `${name}: ${note}`)
  const said = rules.family
  const family = options.family === undefined && said !== undefined ? said : familyAsked(options, { state }, context)
  if (said !== undefined && said !== family)
    throw new CliError('USAGE', `${name} has rules of ${said}: leave --family out, or give the other file`)
  return {
    dataplane,
    isLive: false,
    name,
    machine: { interfaceAddresses: interfaceAddressesOf(options) },
    read: async () => [{ family, rules }],
  }
}

/** The rules of this machine, or of the network namespace that the process is in. Fails as `Dataplane.openRules`. */
export async function liveSource(
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: SourceOptions,
  context: Context,
): Promise<TableSource> {
  const known = familiesOf(options, state)
  const families: readonly IpFamily[] = known.length > 0 ? known : ['IPv4', 'IPv6']
  const dataplane = dataplaneOf(context, config)
  const progress = createProgress(context)
  // That rules are in both variants is for the audit to say.
  const quiet = machineOf({ ...context, stderr: SILENT }, { progress })
  const choices = { iptablesVariant: options.iptablesVariant }
  const opened = await dataplane.openRules({ families, choices }, quiet)
  return {
    dataplane,
    isLive: true,
    name: opened.tool.name,
    machine: {
      interfaceAddresses: interfaceAddressesOf(options) ?? (await interfaceAddresses(runProcess)),
      tcpBeLiberal: tcpBeLiberal(),
      ...opened.capabilities,
    },
    async read() {
      try {
        return await opened.read()
      } finally {
        progress.end()
      }
    },
  }
}

/** All that an audit has to say. */
export interface AuditReport {
  readonly dataplane: Dataplane
  readonly asked: AskedObjects
  readonly state: Pick<State, 'services' | 'endpoints'>
  readonly node: NodeInfo | undefined
  readonly source: Pick<TableSource, 'name'>
  readonly read: readonly FamilyRules[]
  /** Of the rules that they were compared with. */
  readonly layout: ProxyConfig['layout']
  readonly findings: readonly AuditFinding[]
  readonly notes: readonly AuditNote[]
  readonly causes: ReadonlyMap<AuditFinding, FindingCause>
}
