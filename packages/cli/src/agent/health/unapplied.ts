import type { Seq } from '@pointsman/core'

/** Events that are on their way to the rules, gathered by the second. */
export interface Unapplied {
  /** When the first of them was recorded, in milliseconds since 1970 UTC. */
  readonly at: number
  readonly lastSeq: Seq
}

/** Oldest first. However long the rules cannot be written, no more than a few hundred are kept: the oldest counts. */
export function withUnapplied(
  waiting: readonly Unapplied[],
  { seq, at }: { readonly seq: Seq; readonly at: number },
): readonly Unapplied[] {
  const last = waiting.at(-1)
  const isNew = last === undefined || (at >= last.at + GATHERED_MS && waiting.length < MAX_WAITING)
  return isNew ? [...waiting, { at, lastSeq: seq }] : [...waiting.slice(0, -1), { at: last.at, lastSeq: seq }]
}

/** What is left after a sync that carried everything up to `appliedSeq`. */
export const afterApplied = (waiting: readonly Unapplied[], appliedSeq: Seq): readonly Unapplied[] =>
  waiting.filter(({ lastSeq }) => lastSeq > appliedSeq)

/** The same after wall time was set by so many milliseconds. */
export const movedWaiting = (waiting: readonly Unapplied[], ms: number): readonly Unapplied[] =>
  waiting.map((one) => ({ ...one, at: one.at + ms }))

const GATHERED_MS = 1000
const MAX_WAITING = 300
