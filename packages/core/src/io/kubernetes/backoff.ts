export interface Backoff {
  /** What the first pause is at most, in milliseconds; it doubles with each failure. */
  readonly baseMs: number
  /** What no pause is longer than. */
  readonly capMs: number
}

/**
 * How long to wait after so many failures in a row (from 1), in milliseconds: anything up to a bound that doubles, so that many
 * nodes do not come back together ("full jitter"), yet never nothing. A server's own word comes before it: at least so long, and
 * the jitter on top.
 */
export function backoffMs({ baseMs, capMs }: Backoff, failures: number, random: number, atLeastMs = 0): number {
  const bound = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30))
  return atLeastMs + Math.max(LEAST_MS, Math.round(bound * random))
}

const LEAST_MS = 50
