import type { FateFlip, FateHistory, PacketFate } from './follow-fate.js'

export interface Broken {
  /** The latest record after which the packet was no longer as it should be. */
  readonly broken?: FateFlip
  /** The first record since after which it was again what it had been; absent while it lasts. */
  readonly mended?: FateFlip
}

export interface BreakQuestion {
  /** Equal for fates that are not told apart. */
  readonly keyOf: (fate: PacketFate) => string
  /** How it should be; absent: it reaches endpoints. */
  readonly good?: PacketFate
}

/** Which of the flips is the answer to "what broke it". */
export function findBreak(flips: ReturnType<FateHistory['flips']>, { keyOf, good }: BreakQuestion): Broken {
  const isGood = (fate: PacketFate): boolean =>
    good === undefined ? fate.verdict === 'endpoints' : keyOf(fate) === keyOf(good)
  const broken = flips.findLast(({ before }) => isGood(before))
  if (broken === undefined) return {}
  const wanted = keyOf(broken.before)
  const mended = flips.slice(flips.indexOf(broken) + 1).find(({ after }) => keyOf(after) === wanted)
  return { broken, ...(mended && { mended }) }
}
