import { fateKey, type FateFlip, type FateHistory, type PacketFate } from './follow-fate.js'

export interface Broken {
  /** The latest record after which the packet was no longer as it should be. */
  readonly broken?: FateFlip
  /** The first record since after which it was again what it had been; absent while it lasts. */
  readonly mended?: FateFlip
}

export interface BreakQuestion {
  readonly exact: boolean
  /** How it should be; absent: it reaches endpoints. */
  readonly good?: PacketFate
}

/** Which of the flips is the answer to "what broke it". */
export function findBreak(flips: ReturnType<FateHistory['flips']>, { exact, good }: BreakQuestion): Broken {
  const isGood = (fate: PacketFate): boolean =>
    good === undefined ? fate.verdict === 'endpoints' : fateKey(fate, exact) === fateKey(good, exact)
  const broken = flips.findLast(({ before }) => isGood(before))
  if (broken === undefined) return {}
  const wanted = fateKey(broken.before, exact)
  const mended = flips.slice(flips.indexOf(broken) + 1).find(({ after }) => fateKey(after, exact) === wanted)
  return { broken, ...(mended && { mended }) }
}
