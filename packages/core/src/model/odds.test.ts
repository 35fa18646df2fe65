import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bothOdds,
  CERTAIN,
  dyadicOdds,
  IMPOSSIBLE,
  isCertain,
  isImpossible,
  type Odds,
  oneIn,
  otherOdds,
  sumOfOdds,
  oddsToNumber,
} from './odds.js'

const BITS = 31
const chances = fc.nat(2 ** BITS).map((count) => dyadicOdds(count, BITS))
const counts = fc.integer({ min: 1, max: 50 }).map(oneIn)
const anyOdds = fc.oneof(chances, counts)

describe('odds', () => {
  it('are exact: what happens and what does not add up to 1, however deep the choice', () => {
    fc.assert(
      fc.property(fc.array(anyOdds, { maxLength: 40 }), (choices) => {
        let left = CERTAIN
        const shares = choices.map((choice) => {
          const share = bothOdds(left, choice)
          left = bothOdds(left, otherOdds(choice))
          return share
        })
        expect(isCertain(sumOfOdds([...shares, left]))).toBe(true)
      }),
    )
  })

  it('are the same data where they are the same', () => {
    expect(dyadicOdds(2 ** 30, BITS)).toEqual(dyadicOdds(1, 1))
    expect(bothOdds(dyadicOdds(2 ** 30, BITS), dyadicOdds(2 ** 29, BITS))).toEqual(dyadicOdds(1, 3))
    expect(dyadicOdds(2 ** BITS, BITS)).toEqual(CERTAIN)
    expect(otherOdds(CERTAIN)).toEqual(IMPOSSIBLE)
  })

  it.each([
    [CERTAIN, 1],
    [IMPOSSIBLE, 0],
    [dyadicOdds(1, 2), 0.25],
    [oneIn(3), 1 / 3],
    [bothOdds(oneIn(3), dyadicOdds(1, 1)), 1 / 6],
    [dyadicOdds(1, BITS), 2 ** -BITS],
  ])('%o is %d', (odds, number) => {
    expect(oddsToNumber(odds)).toBe(number)
  })

  it('of a thousand choices in a row stay within a billionth of what they mean', () => {
    let left = CERTAIN
    for (let count = 1002; count > 1; count--) {
      const choice = dyadicOdds(Math.round((1 / count) * 2 ** BITS), BITS)
      expect(Math.abs(oddsToNumber(bothOdds(left, choice)) - 1 / 1002)).toBeLessThan(1e-9)
      left = bothOdds(left, otherOdds(choice))
    }
    expect(isImpossible(left)).toBe(false)
  })

  it('of more choices than are exact stay small, and their sum is 1 to the last digit', () => {
    let left = CERTAIN
    const shares: Odds[] = []
    for (let count = 4000; count > 1; count--) {
      const choice = dyadicOdds(Math.round((1 / count) * 2 ** BITS), BITS)
      shares.push(bothOdds(left, choice))
      left = bothOdds(left, otherOdds(choice))
    }
    expect(oddsToNumber(sumOfOdds([...shares, left]))).toBe(1)
    expect(Math.max(...shares.map(({ numerator }) => numerator.toString(2).length))).toBeLessThanOrEqual(65_536)
  })
})
