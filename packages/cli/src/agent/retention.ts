import { stat } from 'node:fs/promises'
import type { ChangeLogWriter } from '@pointsman/core'
import { ChangeLogError } from '@pointsman/core/io'
import { EMPTY, exhaustMap, from, map, merge, type Observable, type SchedulerLike, timer } from 'rxjs'
import type { AgentLogWriter } from './open-agent-log.js'

export interface RetentionOptions {
  /** Records older than this go; absent: none for their age. */
  readonly logMaxAgeMs?: number | undefined
  /** The oldest records go while the log is larger; absent: none for that. */
  readonly logMaxBytes?: number | undefined
}

/**
 * Removes what is too much of a log, now and then, and soon where it grows far beyond its size; emits how many records went. Fails as
 * the log does. `sizeOf`: its size on disk, in bytes.
 */
export function retention(
  writer: Pick<AgentLogWriter, 'prune'>,
  { logMaxAgeMs, logMaxBytes, sizeOf }: RetentionOptions & { readonly sizeOf: () => Promise<number> },
  scheduler: SchedulerLike,
): Observable<number> {
  let tooLarge = (logMaxBytes ?? Infinity) * GROWTH
  const prune = async (): Promise<number> => {
    const { removed, bytes } = await writer.prune({
      now: scheduler.now(),
      ...(logMaxAgeMs !== undefined && { maxAgeMs: logMaxAgeMs }),
      ...(logMaxBytes !== undefined && { maxBytes: logMaxBytes }),
    })
    // Where what is current alone takes more, pruning again helps no sooner than after as much growth again.
    tooLarge = Math.max(logMaxBytes ?? Infinity, bytes) * GROWTH
    return removed
  }
  const pruneLarge = async (): Promise<number> => ((await sizeOf()) > tooLarge ? prune() : 0)
  return merge(
    timer(FIRST_MS, INTERVAL_MS, scheduler).pipe(map(() => prune)),
    logMaxBytes === undefined ? EMPTY : timer(LOOK_MS, LOOK_MS, scheduler).pipe(map(() => pruneLarge)),
  ).pipe(exhaustMap((work) => from(work())))
}

/** Not while an agent starts. */
const FIRST_MS = 60_000
const INTERVAL_MS = 600_000
const LOOK_MS = 5000
const GROWTH = 1.25

/**
 * The same log, which refuses with LOG_FULL what comes when it is more than twice as large as it may be: retention has not helped, as where
 * a server lists without end.
 */
export function sizeLimited(
  log: ChangeLogWriter,
  {
    file,
    maxBytes,
    sizeOf,
  }: { readonly file: string; readonly maxBytes: number; readonly sizeOf: () => Promise<number> },
): ChangeLogWriter {
  return {
    get head() {
      return log.head
    },
    get lastObservedAt() {
      return log.lastObservedAt
    },
    async append(entries) {
      const bytes = await sizeOf()
      if (bytes <= 2 * maxBytes + WORKING_BYTES) return log.append(entries)
      const detail = `its size of ${bytes} bytes exceeds --log-max-size (${maxBytes}), and no more records can be pruned`
      throw new ChangeLogError('LOG_FULL', { file, detail })
    },
  }
}

/** What SQLite's write-ahead log takes beside the log itself. */
const WORKING_BYTES = 32 * 1024 * 1024

/** What a log takes on the disk, its write-ahead log included, in bytes; 0 where there is none. */
export async function logSizeOf(file: string): Promise<number> {
  const sizes = [file, `${file}-wal`].map(async (path) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
