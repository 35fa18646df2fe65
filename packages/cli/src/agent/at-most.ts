import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for work, but not longer: undefined where it is not done by then. No timer is left that would keep the process. */
export async function atMost<Result>(ms: number, work: Promise<Result>): Promise<Result | undefined> {
  const over = new AbortController()
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: over.signal })])
  } finally {
    over.abort()
  }
}
