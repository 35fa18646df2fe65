import {
  createRecorder,
  OBJECT_KINDS,
  parseGoDuration,
  type ChangeLogReader,
  type LogHealth,
  type ObjectKind,
  type Recorded,
  type WatchStatus,
} from '@pointsman/core'
import {
  createKnownObjects,
  openChangeLogWriter,
  resumePoints,
  type ConnectOptions,
  type SqliteChangeLog,
} from '@pointsman/core/io'
import type { Command } from 'commander'
import { asyncScheduler, fromEvent, ignoreElements, merge, NEVER, Subject, takeUntil, timer } from 'rxjs'
import { createAgentLines } from '../../agent/agent-log.js'
import { clusterSource, recordedEvents } from '../../agent/cluster-source.js'
import { readAge, readSize } from '../../agent/config/agent-options.js'
import { logSizeOf, retention, sizeLimited, type RetentionOptions } from '../../agent/open-agent-log.js'
import { warn, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { logPath, warnOfOthers, withLogOption } from '../../input/open-input.js'
import { countOf, formatCount, formatDuration, shellWord, withExamples } from '../../output/format-text.js'
import {
  formatTime,
  formatTimeIfKnown,
  outputOption,
  parseFormat,
  pointJson,
  writeDocument,
} from '../../output/json.js'
import { createProgress } from '../../output/progress.js'
import {
  documentHead,
  integer,
  objectOf,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
} from '../../output/schema.js'
import type { Style } from '../../output/terminal.js'
import { kindCounts } from '../import/report.js'

/** What `pointsman record -o json` prints when it ends. */
export const recordSummary = objectOf('RecordSummary', {
  ...documentHead('RecordSummary'),
  at: required(point, 'the last record of the log'),
  log: required(text, 'the path of the log'),
  events: required(integer, 'events that are new in the log, bookmarks included'),
  kinds: required(kindCounts, 'the new events of objects'),
  bookmarks: required(integer, 'the new bookmarks'),
  firstAt: optional(time, 'the first new event; absent where there is none'),
  lastAt: optional(time, 'the last new event'),
})
type RecordSummaryJson = DocumentJson<typeof recordSummary>

interface RecordCommandOptions {
  readonly log?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly server?: string
  readonly node?: string
  readonly for?: string
  readonly logMaxAge: string
  readonly logMaxSize: string
  readonly output?: string
}

export function registerRecord(program: Command, context: Context): void {
  const command = program
    .command('record')
    .summary('record the changes of a cluster into a change log, read-only')
    .description(
      'Lists and watches Services, EndpointSlices, Nodes and, where the server has them, ServiceCIDRs and appends every change to a change log, until Ctrl-C. Creates the log, or ' +
        'resumes a log of the same cluster where it ended. Writes nothing to the cluster. ' +
        'Requires permission to list and watch these resources.',
    )
    .option('--kubeconfig <file>', 'the kubeconfig (default: KUBECONFIG, else ~/.kube/config)')
    .option('--context <name>', 'the kubeconfig context (default: the current context)')
    .option('--server <url>', 'the URL of the API server; overrides the kubeconfig')
    .option('--node <name>', 'record only this Node (default: all)')
    .option('--for <duration>', 'stop after this time, such as 10m (default: at Ctrl-C)')
    .option('--log-max-age <duration>', 'maximum age of records; older ones are pruned (0 = no limit)', '0')
    .option(
      '--log-max-size <bytes>',
      'maximum size of the log, such as 512Mi; the oldest records are pruned (0 = no limit)',
      '0',
    )
    .addOption(outputOption(['text', 'json']))
    .action(async (options: RecordCommandOptions) => record(options, program.version() ?? '', context))
  withExamples(withLogOption(command), [
    'pointsman record --log shop.db',
    'pointsman record --log shop.db --kubeconfig ~/.kube/config --context production --for 10m',
  ])
}

async function record(options: RecordCommandOptions, version: string, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const log = logPath(options, context)
  const durationMs = durationOf(options.for)
  const logMaxAgeMs = readAge('--log-max-age', options.logMaxAge)
  const logMaxBytes = readSize('--log-max-size', options.logMaxSize)
  const progress = createProgress(context)
  const linesOf = createAgentLines()
  let tally: RecordTally
  try {
    tally = await recordCluster(
      {
        log,
        server: { kubeconfig: options.kubeconfig, context: options.context, master: options.server },
        version,
        ...(options.node !== undefined && { nodeName: options.node }),
        ...(durationMs !== undefined && { durationMs }),
        ...(logMaxAgeMs > 0 && { logMaxAgeMs }),
        ...(logMaxBytes > 0 && { logMaxBytes }),
        onStatus: (status) => {
          for (const { message } of linesOf({ type: 'watch', status, at: context.now() })) {
            progress.end()
            context.stderr.print(message)
          }
        },
        onEvent: (now) => progress.show(() => progressLine(now)),
        onWarning: (message) => warn(context, message),
      },
      context,
    )
  } finally {
    progress.end()
  }
  if (format === 'json') writeDocument(context, recordDocument(tally, log))
  else context.stdout.print(recordText(tally, log, context.style))
}

function durationOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const duration = parseGoDuration(text)
  if (duration !== undefined && duration > 0) return duration
  throw new CliError('USAGE', `--for ${JSON.stringify(text)} is not a duration such as 10m or 1h30m`)
}

const progressLine = (tally: RecordTally): string =>
  `recording: ${countOf(tally.events, 'event')} (${countsText(tally)}); Ctrl-C to stop`

/** Adds up to the number of events. */
const countsText = ({ kinds, bookmarks }: RecordTally): string =>
  [
    `${formatCount(kinds.Service)} of Services`,
    `${formatCount(kinds.EndpointSlice)} of EndpointSlices`,
    `${formatCount(kinds.Node)} of Nodes`,
    ...(kinds.ServiceCIDR > 0 ? [`${formatCount(kinds.ServiceCIDR)} of ServiceCIDRs`] : []),
    ...(bookmarks > 0 ? [countOf(bookmarks, 'bookmark')] : []),
  ].join(', ')

/** What was recorded, and what to try next. */
function recordText(tally: RecordTally, log: string, style: Style): readonly string[] {
  const { events, firstAt, lastAt } = tally
  const span =
    firstAt === undefined || lastAt === undefined
      ? ''
      : `, ${formatTime(firstAt)} to ${formatTime(lastAt)} (${formatDuration(lastAt - firstAt)})`
  const conclusion = events === 0 ? `nothing new for ${log}` : `recorded ${countOf(events, 'event')} into ${log}`
  return [style.bold(conclusion) + span, `  ${countsText(tally)}`, `next: pointsman services --log ${shellWord(log)}`]
}

function recordDocument(
  { events, kinds, bookmarks, firstAt, lastAt, head }: RecordTally,
  log: string,
): RecordSummaryJson {
  return {
    kind: 'RecordSummary',
    at: pointJson({ seq: head, time: lastAt }),
    log,
    events,
    kinds,
    bookmarks,
    firstAt: formatTimeIfKnown(firstAt),
    lastAt: formatTimeIfKnown(lastAt),
  }
}

interface RecordOptions extends RetentionOptions {
  readonly log: string
  readonly server: Pick<ConnectOptions, 'kubeconfig' | 'context' | 'master'>
  /** The Node to follow; absent: all. */
  readonly nodeName?: string
  /** Absent: until it is interrupted. */
  readonly durationMs?: number
  readonly version: string
  readonly onStatus: (status: WatchStatus) => void
  /** Called after each event. */
  readonly onEvent: (tally: RecordTally) => void
  readonly onWarning: (message: string) => void
}

/** What was recorded. Times in milliseconds since 1970 UTC. */
interface RecordTally {
  readonly events: number
  readonly kinds: { readonly [kind in ObjectKind]: number }
  /** The other events: those of no object. */
  readonly bookmarks: number
  readonly firstAt?: number
  readonly lastAt?: number
  /** The log's last record. */
  readonly head: number
}

/**
 * Follows a cluster and writes what it says to a log, which is made where there is none and gone on with where there is one,
 * until it is interrupted. Fails with an ApiServerError when it is not known which cluster, with a ChangeLogError when the log
 * cannot be written, and with a CliError when it is of another cluster, or the API server was not reached in the time given.
 */
async function recordCluster(options: RecordOptions, context: Context): Promise<RecordTally> {
  warnOfOthers(options.log, context)
  const log = openChangeLogWriter(options.log, { durability: 'normal' })
  const known = createKnownObjects()
  const { received } = log.head === 0 ? { received: new Set<ObjectKind>() } : log.eachObjectAt(log.head, known.add)
  const sizeOf = (): Promise<number> => logSizeOf(options.log)
  const { logMaxBytes: maxBytes } = options
  const bounded = maxBytes === undefined ? log : sizeLimited(log, { file: options.log, maxBytes, sizeOf })
  const recorder = createRecorder({ log: bounded })
  const broken = new Subject<never>()
  recorder.health$.subscribe((health) => {
    if (health.type === 'degraded') broken.error(reasonOf(health, options.log))
  })
  const source = clusterSource(
    {
      ...options,
      server: { ...options.server, otherwise: 'user', client: 'client-node' },
      kinds: OBJECT_KINDS,
      endpoints: true,
      known,
      resume: resumePoints(log.positions(), received),
      clusterId: log.info().clusterId,
    },
    context,
  )
  const stop = merge(
    fromEvent(context.interrupted, 'abort'),
    options.durationMs === undefined ? NEVER : timer(options.durationMs),
  )
  const contact: { reached: boolean; lastError?: string } = { reached: false }
  const events = recordedEvents({
    source: source.pipe(takeUntil(stop)),
    recorder,
    onStatus: (status) => {
      if (status.heardAt !== undefined) contact.reached = true
      if (status.error !== undefined) contact.lastError = status.error.message
      options.onStatus(status)
    },
    onNotice: ({ code, message }) => {
      if (code === 'OBJECT_UNREADABLE' || code === 'KIND_UNAVAILABLE') options.onWarning(message)
    },
  })
  const prune: SqliteChangeLog['prune'] = (limits) => log.prune(limits)
  const pruning = retention({ prune: async (limits) => prune(limits) }, { ...options, sizeOf }, asyncScheduler).pipe(
    ignoreElements(),
    takeUntil(stop),
  )
  const tally = createTally(log)
  try {
    await new Promise<void>((resolve, reject) => {
      const running = merge(events, broken.pipe(takeUntil(stop)), pruning).subscribe({
        next: (recorded) => {
          tally.add(recorded)
          options.onEvent(tally.now())
        },
        error: reject,
        complete: () => resolve(),
      })
      if (context.interrupted.aborted) {
        running.unsubscribe()
        resolve()
      }
    })
    await recorder.close()
    if (!contact.reached && !context.interrupted.aborted) {
      const duration = formatDuration(options.durationMs ?? 0)
      throw new CliError(
        'CANNOT',
        `${options.log}: nothing was recorded in ${duration}: ${contact.lastError ?? 'the API server has not answered'}`,
      )
    }
    return tally.now()
  } finally {
    await recorder.close()
    log.close()
  }
}

function reasonOf({ code, message, cause }: Extract<LogHealth, { type: 'degraded' }>, file: string): unknown {
  if (code === 'OTHER_CLUSTER') return new CliError('USAGE', `${file}: ${message}: use another --log`)
  return cause ?? new CliError('CANNOT', `${file}: ${message}`)
}

function createTally(log: Pick<SqliteChangeLog, 'head'> & Pick<ChangeLogReader, 'info'>): {
  readonly add: (recorded: Recorded) => void
  readonly now: () => RecordTally
} {
  const kinds = { Service: 0, EndpointSlice: 0, Node: 0, ServiceCIDR: 0 }
  let events = 0
  let bookmarks = 0
  let firstAt: number | undefined
  let lastAt: number | undefined
  return {
    add({ event }) {
      events++
      firstAt ??= event.observedAt
      lastAt = event.observedAt
      if (event.type === 'BOOKMARK') bookmarks++
      else kinds[event.object.kind]++
    },
    now: () => ({
      events,
      kinds: { ...kinds },
      bookmarks,
      ...(firstAt !== undefined && { firstAt }),
      ...(lastAt !== undefined && { lastAt }),
      head: log.head,
    }),
  }
}
