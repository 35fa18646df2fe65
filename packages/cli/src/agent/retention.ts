import { exhaustMap, from, type Observable, type SchedulerLike, timer } from 'rxjs'
import type { AgentLogWriter } from './late-writer.js'

export interface RetentionOptions {
  /** Records older than this go; absent: none for their age. */
  readonly logMaxAgeMs?: number | undefined
  /** The oldest records go while the log is larger; absent: none for that. */
  readonly logMaxBytes?: number | undefined
}

/** Removes what is too much of a log, now and then; emits how many records went. Fails as the log does. */
export function retention(
  writer: Pick<AgentLogWriter, 'prune'>,
  { logMaxAgeMs, logMaxBytes }: RetentionOptions,
  scheduler: SchedulerLike,
): Observable<number> {
  const prune = async (): Promise<number> => {
    const { removed } = await writer.prune({
      now: scheduler.now(),
      ...(logMaxAgeMs !== undefined && { maxAgeMs: logMaxAgeMs }),
      ...(logMaxBytes !== undefined && { maxBytes: logMaxBytes }),
    })
    return removed
  }
  return timer(FIRST_MS, INTERVAL_MS, scheduler).pipe(exhaustMap(() => from(prune())))
}

/** Not while an agent starts. */
const FIRST_MS = 60_000
const INTERVAL_MS = 600_000
