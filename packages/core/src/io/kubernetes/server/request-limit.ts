import { setTimeout as sleep } from 'node:timers/promises'

export interface RequestLimit {
  /** Requests a second, over a long time. */
  readonly qps: number
  /** So many at once after a pause. */
  readonly burst: number
  /** Milliseconds, from any beginning. */
  readonly now: () => number
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** Resolves when the next request may be made, in the order of the calls; rejects when the signal is aborted. No limit where `qps` is 0 or less. */
export function createRequestLimit({
  qps,
  burst,
  now,
  wait = (ms, signal) => sleep(ms, undefined, { signal }),
}: RequestLimit): (signal: AbortSignal) => Promise<void> {
  if (qps <= 0) return async () => undefined
  let tokens = Math.max(1, burst)
  let countedAt = now()
  return async (signal) => {
    const time = now()
    tokens = Math.min(Math.max(1, burst), tokens + (Math.max(0, time - countedAt) * qps) / 1000)
    countedAt = time
    // Below zero: those who came before have taken what is still to come.
    tokens -= 1
    if (tokens >= 0) return
    try {
      await wait((-tokens * 1000) / qps, signal)
    } catch (error) {
      tokens += 1
      signal.throwIfAborted()
      throw error
    }
  }
}
