import { setTimeout } from 'node:timers/promises'

/** Settles after so many milliseconds, and at once when the signal aborts. Never fails. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

export const sleep: Sleep = async (ms, signal) => {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined)
}
