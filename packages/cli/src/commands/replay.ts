import { realpathSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { createMockBackend } from '@pointsman/backend-mock'
import { buildState, replay, ResumeError, resumedWriter } from '@pointsman/core'
import type { Backend, ChangeLogReader, ProxyConfig, ReplaySummary, Seq } from '@pointsman/core'
import { openChangeLogWriter } from '@pointsman/core/io'
import { type Command, Option } from 'commander'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import { nodeNameFor } from '../input/node-name.js'
import { openLog } from '../input/open-input.js'
import { POINT_FORMS } from '../input/parse-point.js'
import { resolvePoint } from '../input/point-in-time.js'
import { type ConfigOptions, resolveConfig, withConfigOptions } from '../input/proxy-config.js'
import { formatCount } from '../output/duration.js'
import { parseFormat, writeDocument } from '../output/json.js'
import { createProgress, type Progress } from '../output/progress.js'
import { outputOption } from '../output/output-option.js'
import { withExamples } from '../output/with-examples.js'
import { replayDocument, type ReplayReport, replayText } from '../replay/replay-report.js'

interface ReplayCommandOptions extends ConfigOptions {
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
    .summary('run a log through the engine to a backend, at any speed, up to any point')
    .description(
      'Runs the watch events of LOG (else POINTSMAN_LOG) through the engine to a backend. LOG is read and never written. Time is ' +
        "the recording's own, so that the same log and settings give the same syncs at whatever speed.",
    )
    .addOption(
      new Option('--backend <name>', 'mock, or none: fold the events and sync nothing')
        .choices(['mock', 'none'])
        .default('mock'),
    )
    .option('--speed <factor>', 'how many times as fast as it was recorded (1, 10, 0.5), or max', 'max')
    .option('--until <point>', `the last record that is played: ${POINT_FORMS}`)
    .option(
      '--record <file>',
      'keep the events and syncs of this run in a new log; of a run that was cut short, the rest',
    )
    .option('--log <file>', 'another way to name LOG')
    .option('--node <name>', 'the node whose rules are made (else the configured one, else the only Node in the log)')
    .addOption(outputOption(['text', 'json']))
    .action(async (log: string | undefined, options: ReplayCommandOptions) => replayLog(log, options, context))
  withExamples(withConfigOptions(command), [
    'pointsman replay shop.db',
    'pointsman replay shop.db --until 14:03 --record until-1403.db --cluster-cidr 10.244.0.0/16',
    'pointsman replay shop.db --speed 10 --iptables-min-sync-period 5s',
  ])
}

async function replayLog(log: string | undefined, options: ReplayCommandOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const speed = parseSpeed(options.speed)
  if (log !== undefined && options.log !== undefined) {
    throw new CliError('USAGE', 'LOG and --log are two logs: give one of them')
  }
  const { path, reader } = openLog(log === undefined ? options : { log }, context)
  const progress = createProgress(context)
  try {
    const point = resolvePoint({ reader, text: options.until, option: '--until' })
    const config = await configFor({ reader, untilSeq: point.seq, options, context })
    const backend = backendOf(options.backend, config)
    const startedAt = context.now()
    const summary = await run({
      reader,
      untilSeq: point.seq,
      config,
      backend,
      speed,
      path,
      record: options.record,
      context,
      progress,
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
    else context.stdout.write(replayText(report, context.style))
  } catch (error) {
    progress.end()
    if (error instanceof ResumeError)
      throw new CliError('BAD_INPUT', `${options.record ?? ''}: ${error.message}`, { cause: error })
    if (!context.interrupted.aborted) throw error
    context.stderr.write(
      `interrupted${options.record === undefined ? '' : `: what is in ${options.record} stays; go on with the same command`}\n`,
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
}: Run): Promise<ReplaySummary> {
  if (record !== undefined) refuseSameFile(path, record)
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
      onEvent: () => {
        count++
        progress.show(() => `replaying ${formatCount(count)} events`)
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

interface ConfigQuestion {
  readonly reader: ChangeLogReader
  readonly untilSeq: Seq
  readonly options: ReplayCommandOptions
  readonly context: Context
}

async function configFor({ reader, untilSeq, options, context }: ConfigQuestion): Promise<ProxyConfig> {
  const config = await resolveConfig(options, reader.configAt(untilSeq), context)
  const { state } = buildState({ objects: reader.objectsAt(untilSeq).objects })
  const configured = config.nodeName ?? reader.info().nodeName
  const nodeName = nodeNameFor({ given: options.node, configured, state })
  return nodeName === undefined ? config : { ...config, nodeName }
}

function backendOf(name: string, config: ProxyConfig): Backend | undefined {
  return name === 'mock' ? createMockBackend({ config }) : undefined
}

function parseSpeed(text: string): number | undefined {
  if (text === 'max') return undefined
  const speed = /^\d+(\.\d+)?x?$/.test(text) ? Number.parseFloat(text) : 0
  if (speed > 0) return speed
  throw new CliError(
    'USAGE',
    `--speed ${text}: give how many times as fast as it was recorded, such as 1, 10 or 0.5, or max`,
  )
}

function refuseSameFile(log: string, record: string): void {
  if (realPath(log) === realPath(record))
    throw new CliError('USAGE', `--record ${record} is the log that is replayed: give another file`)
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
