/** Choices that a seed repeats. */
export interface RandomChoices {
  /** From 0 to below `end`. */
  readonly below: (end: number) => number
  readonly pick: <T>(items: readonly [T, ...T[]]) => T
  /** True once in so many times. */
  readonly oneIn: (times: number) => boolean
}

export function randomChoices(seed: number): RandomChoices {
  let at = seed >>> 0
  // Marsaglia's xorshift of 32 bits, which never is at zero.
  const next = (): number => {
    at ^= at << 13
    at ^= at >>> 17
    at ^= at << 5
    return at >>> 0
  }
  at = (Math.imul(at, 2_654_435_761) ^ 0x9e_37_79_b9) >>> 0 || 1
  const below = (end: number): number => next() % end
  return {
    below,
    pick: (items) => items[below(items.length)] ?? items[0],
    oneIn: (times) => below(times) === 0,
  }
}
