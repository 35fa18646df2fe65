import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  both,
  CERTAIN,
  dyadic,
  IMPOSSIBLE,
  isCertain,
  isImpossible,
  oneIn,
  otherwise,
  sumOf,
  toNumber,
} from './odds.js'

const BITS = 31
const chances = fc.nat(2 ** BITS).map((count) => dyadic(count, BITS))
const counts = fc.integer({ min: 1, max: 50 }).map(oneIn)
const anyOdds = fc.oneof(chances, counts)

describe('odds', () => {
  it('are exact: what happens and what does not add up to 1, however deep the choice', () => {
    fc.assert(
      fc.property(fc.array(anyOdds, { maxLength: 40 }), (choices) => {
        let left = CERTAIN
        const shares = choices.map((choice) => {
          const share = both(left, choice)
          left = both(left, otherwise(choice))
          return share
        })
        expect(isCertain(sumOf([...shares, left]))).toBe(true)
      }),
    )
  })

  it('are the same data where they are the same', () => {
    expect(dyadic(2 ** 30, BITS)).toEqual(dyadic(1, 1))
    expect(both(dyadic(2 ** 30, BITS), dyadic(2 ** 29, BITS))).toEqual(dyadic(1, 3))
    expect(dyadic(2 ** BITS, BITS)).toEqual(CERTAIN)
    expect(otherwise(CERTAIN)).toEqual(IMPOSSIBLE)
  })

  it.each([
    [CERTAIN, 1],
    [IMPOSSIBLE, 0],
    [dyadic(1, 2), 0.25],
    [oneIn(3), 1 / 3],
    [both(oneIn(3), dyadic(1, 1)), 1 / 6],
    [dyadic(1, BITS), 2 ** -BITS],
  ])('%o is %d', (odds, number) => {
    expect(toNumber(odds)).toBe(number)
  })

  it('of a thousand choices in a row stay within a billionth of what they mean', () => {
    let left = CERTAIN
    for (let count = 1002; count > 1; count--) {
      const choice = dyadic(Math.round((1 / count) * 2 ** BITS), BITS)
      expect(Math.abs(toNumber(both(left, choice)) - 1 / 1002)).toBeLessThan(1e-9)
      left = both(left, otherwise(choice))
    }
    expect(isImpossible(left)).toBe(false)
  })
})
