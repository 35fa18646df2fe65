/**
 * A probability: `numerator / (2^twos × others)`. The kernel draws one of 2^31 numbers, so that `others` is 1 unless something counts
 * packets (`-m statistic --mode nth`). It is exact for some 2,100 choices in a row; beyond them the numerator is rounded to
 * MOST_BITS bits, since an exact one grows by 31 bits a choice: a service of 20,000 endpoints would take gigabytes.
 */
export interface Odds {
  readonly numerator: bigint
  readonly twos: number
  readonly others: bigint
}

export const CERTAIN: Odds = { numerator: 1n, twos: 0, others: 1n }
export const IMPOSSIBLE: Odds = { numerator: 0n, twos: 0, others: 1n }

/** `chances / 2^bits`. */
export const dyadicOdds = (chances: number, bits: number): Odds => reduced(BigInt(chances), bits, 1n)

export const oneIn = (count: number): Odds => reduced(1n, 0, BigInt(count))

export const bothOdds = (a: Odds, b: Odds): Odds =>
  reduced(a.numerator * b.numerator, a.twos + b.twos, a.others * b.others)

export const otherOdds = ({ numerator, twos, others }: Odds): Odds =>
  reduced((others << BigInt(twos)) - numerator, twos, others)

export function sumOfOdds(all: Iterable<Odds>): Odds {
  let sum = IMPOSSIBLE
  for (const odds of all) sum = plus(sum, odds)
  return sum
}

export const isCertain = ({ numerator, twos, others }: Odds): boolean => numerator === others << BigInt(twos)
export const isImpossible = ({ numerator }: Odds): boolean => numerator === 0n

/** The nearest number from 0 to 1. */
export function oddsToNumber({ numerator, twos, others }: Odds): number {
  const exact = ((numerator << PRECISION) * 2n) / (others << BigInt(twos))
  return Number((exact + 1n) / 2n) / 2 ** Number(PRECISION)
}

const PRECISION = 80n

function plus(a: Odds, b: Odds): Odds {
  const twos = Math.max(a.twos, b.twos)
  const left = a.numerator << BigInt(twos - a.twos)
  const right = b.numerator << BigInt(twos - b.twos)
  if (a.others === b.others) return reduced(left + right, twos, a.others)
  return reduced(left * b.others + right * a.others, twos, a.others * b.others)
}

const MOST_BITS = 65_536

/** In lowest terms as far as twos go: the same probability is the same data, where nothing counts packets. */
function reduced(numerator: bigint, twos: number, others: bigint): Odds {
  if (numerator === 0n) return { numerator, twos: 0, others: 1n }
  const excess = Math.min(twos, bitLength(numerator) - MOST_BITS)
  if (excess > 0) return reduced(numerator >> BigInt(excess), twos - excess, others)
  const shift = Math.min(twos, trailingZeros(numerator))
  return { numerator: numerator >> BigInt(shift), twos: twos - shift, others }
}

/** To the next four. */
const bitLength = (value: bigint): number => value.toString(16).length * 4

function trailingZeros(value: bigint): number {
  let count = 0
  // The lowest 32 bits at a time.
  for (let rest = value; rest !== 0n; rest >>= 32n, count += 32) {
    const low = Number(rest & 0xff_ff_ff_ffn)
    if (low !== 0) return count + 31 - Math.clz32(low & -low)
  }
  return count
}
