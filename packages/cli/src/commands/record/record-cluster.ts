import {
  type ChangeLogReader,
  createRecorder,
  type LogHealth,
  type ObjectKind,
  type Recorded,
  type WatchStatus,
} from '@pointsman/core'
import {
  type ConnectOptions,
  createKnownObjects,
  openChangeLogWriter,
  resumePoints,
  type SqliteChangeLog,
} from '@pointsman/core/io'
import { asyncScheduler, fromEvent, ignoreElements, merge, NEVER, Subject, takeUntil, timer } from 'rxjs'
import { clusterSource, recordedEvents } from '../../agent/cluster-source.js'
import { logSizeOf, retention, type RetentionOptions, sizeLimited } from '../../agent/open-agent-log.js'
import type { Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { formatDuration } from '../../output/format-text.js'
import { warnOfOthers } from '../../input/open-input.js'

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
export interface RecordTally {
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
export async function recordCluster(options: RecordOptions, context: Context): Promise<RecordTally> {
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
      known,
      resume: resumePoints(log.records({ descending: true }), received),
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
      if (code === 'OBJECT_UNREADABLE') options.onWarning(message)
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
  const kinds = { Service: 0, EndpointSlice: 0, Node: 0 }
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
