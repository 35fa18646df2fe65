import {
  type Backend,
  buildState,
  type ChangeLogReader,
  type EngineReport,
  nodeOfInterest,
  type ProxyConfig,
  replay,
  type ReplaySummary,
  resumedWriter,
  ResumeError,
  type Seq,
  ServicesRefusedError,
  type State,
} from '@pointsman/core'
import { openChangeLogWriter } from '@pointsman/core/io'
import { type Command, Option } from 'commander'
import { realpathSync } from 'node:fs'
import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import { type Context, modesOf } from '../../context.js'
import { createMockBackend } from '../../dataplanes.js'
import { CliError } from '../../errors.js'
import { openLog, warnOfOthers } from '../../input/open-input.js'
import { POINT_FORMS, resolvePoint } from '../../input/point-in-time.js'
import { type ConfigOptions, resolveConfig, withConfigOptions } from '../../input/proxy-config.js'
import {
  nodeNameFor,
  ON_THIS_MACHINE,
  type RulesetCommandOptions,
  withLayout,
  type VariantOptions,
  withRulesetOptions,
  withVariantOption,
} from '../../input/rules-question.js'
import { type MachineOptions, openBackend } from '../../machine/open-machine.js'
import { formatCount, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument } from '../../output/json.js'
import { createProgress, type Progress } from '../../output/progress.js'
import { refusedOf, replayDocument, type ReplayReport, replayText, replayBackends } from './report.js'

interface ReplayCommandOptions extends ConfigOptions, RulesetCommandOptions, VariantOptions {
  readonly backend: string
  readonly speed: string
  readonly until?: string
  readonly record?: string
  readonly log?: string
  readonly node?: string
  readonly output?: string
}

export function registerReplay(program: Command, context: Context): void {
  const command = program
    .command('replay [log]')
    .summary('run the events of a log through the sync engine')
    .description(
      'Runs the watch events of LOG (default: POINTSMAN_LOG) through the sync engine and a backend. Reads LOG and never writes it. The clock is ' +
        'that of the recording: the same log and settings give the same syncs at any speed.',
    )
    .addOption(
      new Option(
        '--backend <name>',
        `mock; ${modesOf(context).join(', ')}: write the rules into the tables of this machine, as root; or none: fold the events and sync nothing`,
      )
        .choices(replayBackends(context))
        .default('mock'),
    )
    .option('--speed <factor>', 'speed relative to the recording (1, 10, 0.5), or max', 'max')
    .option('--until <point>', `replay up to this point in time: ${POINT_FORMS}`)
    .option('--record <file>', 'write the events and syncs of this run to a new log, or resume an interrupted one')
    .option('--log <file>', 'same as LOG')
    .option('--node <name>', "plan this node's rules (default: the configured node, else the only Node in the log)")
    .addOption(outputOption(['text', 'json']))
    .action(async (log: string | undefined, options: ReplayCommandOptions) => replayLog(log, options, context))
  withVariantOption(command, 'for --backend iptables; auto: the variant this node uses')
  withRulesetOptions(command, ON_THIS_MACHINE)
  withExamples(withConfigOptions(command), [
    'pointsman replay shop.db',
    'pointsman replay shop.db --until 14:03 --record until-1403.db --cluster-cidr 10.244.0.0/16',
    'pointsman replay shop.db --speed 10 --iptables-min-sync-period 5s',
    'ip netns exec lab pointsman replay shop.db --backend iptables --cluster-cidr 10.244.0.0/16',
  ])
}

async function replayLog(log: string | undefined, options: ReplayCommandOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const speed = parseSpeed(options.speed)
  if (log !== undefined && options.log !== undefined) {
    throw new CliError('USAGE', 'give either LOG or --log, not both')
  }
  const { path, reader } = openLog(log === undefined ? options : { log }, context)
  const progress = createProgress(context)
  try {
    const point = resolvePoint({ reader, text: options.until, option: '--until' })
    const question = await backendQuestion({ reader, untilSeq: point.seq, options, context })
    const backend = await replayBackend(options.backend, question, { options, context })
    const startedAt = context.now()
    // Of the last sync: what an earlier one could not do was made good by a later one.
    let failure: unknown
    const summary = await run({
      reader,
      untilSeq: point.seq,
      config: question.config,
      backend,
      speed,
      path,
      record: options.record,
      context,
      progress,
      onReport: (report) => (failure = report.type === 'failed' ? report.error : undefined),
    })
    progress.end()
    const report: ReplayReport = {
      summary,
      backend: options.backend,
      path,
      ...point,
      ...(options.record !== undefined && { recordedTo: options.record }),
      elapsedMs: context.now() - startedAt,
    }
    if (format === 'json') writeDocument(context, replayDocument(report))
    else context.stdout.print(replayText(report, context.style))
    if (failure !== undefined) throw failure
    const refused = refusedOf(summary)
    if (refused.length > 0) throw new ServicesRefusedError(refused)
  } catch (error) {
    progress.end()
    if (error instanceof ResumeError)
      throw new CliError('BAD_INPUT', `${options.record ?? ''}: ${error.message}`, { cause: error })
    if (!context.interrupted.aborted) throw error
    context.stderr.print(
      `interrupted${options.record === undefined ? '' : `: the records in ${options.record} are kept; run the same command to finish`}`,
    )
    context.finish(130)
  } finally {
    reader.close()
  }
}

interface Run {
  readonly reader: ChangeLogReader
  readonly untilSeq: Seq
  readonly config: ProxyConfig
  readonly backend: Backend | undefined
  /** Undefined: as fast as it goes. */
  readonly speed: number | undefined
  readonly path: string
  readonly record: string | undefined
  readonly context: Context
  readonly progress: Progress
  readonly onReport: (report: EngineReport) => void
}

async function run({
  reader,
  untilSeq,
  config,
  backend,
  speed,
  path,
  record,
  context,
  progress,
  onReport,
}: Run): Promise<ReplaySummary> {
  if (record !== undefined) {
    refuseSameFile(path, record)
    warnOfOthers(record, context)
  }
  // After a power cut the replay is run again: what it writes need not survive one.
  const recording = record === undefined ? undefined : openChangeLogWriter(record, { durability: 'normal' })
  const signal = context.interrupted
  let count = 0
  try {
    return await replay({
      log: reader,
      untilSeq,
      config,
      signal,
      onReport,
      onEvent: () => {
        count++
        progress.show(() => `replaying ${formatCount(count)} events`)
        return count % BREATH === 0 ? setImmediate() : undefined
      },
      ...(backend && { backend }),
      ...(recording && { recordTo: resumedWriter(recording) }),
      ...(speed !== undefined && { pace: (virtualMs: number) => wait(virtualMs / speed, undefined, { signal }) }),
    })
  } finally {
    recording?.close()
    await backend?.close()
  }
}

/** Between so many events Ctrl-C is noticed. */
const BREATH = 100

interface LogQuestion {
  readonly reader: ChangeLogReader
  readonly untilSeq: Seq
  readonly options: ReplayCommandOptions
  readonly context: Context
}

async function backendQuestion({ reader, untilSeq, options, context }: LogQuestion): Promise<BackendQuestion> {
  const config = withLayout(options, await resolveConfig(options, reader.configAt(untilSeq), context), context)
  const { objects } = reader.objectsAt(untilSeq)
  const configured = config.nodeName ?? reader.info().nodeName
  const { node: _, ...state } = buildState({ objects }).state
  const nodeName = nodeNameFor({ given: options.node, configured, state })
  const node = nodeOfInterest(state.nodes, nodeName)
  return {
    state: { ...state, ...(node && { node }) },
    config: nodeName === undefined ? config : { ...config, nodeName },
  }
}

function parseSpeed(text: string): number | undefined {
  if (text === 'max') return undefined
  const speed = /^\d+(\.\d+)?x?$/.test(text) ? Number.parseFloat(text) : 0
  if (speed > 0) return speed
  throw new CliError('USAGE', `--speed ${text} is not a speed: give a factor such as 1, 10 or 0.5, or max`)
}

function refuseSameFile(log: string, record: string): void {
  if (realPath(log) === realPath(record))
    throw new CliError('USAGE', `--record ${record} is the log being replayed: give another file`)
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

interface BackendQuestion {
  /** The last state of the replay: which node it is, and what families it has. */
  readonly state: State
  readonly config: ProxyConfig
}

/** What the syncs of a replay go to; undefined: nowhere. */
async function replayBackend(
  name: string,
  question: BackendQuestion,
  { options, context }: { readonly options: MachineOptions; readonly context: Context },
): Promise<Backend | undefined> {
  const { state, config } = question
  if (name === 'mock') return createMockBackend({ config })
  if (name === 'none') return undefined
  return (await openBackend({ state, config: { ...config, mode: name } }, options, context)).backend
}
