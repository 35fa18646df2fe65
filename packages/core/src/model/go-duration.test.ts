import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatGoDuration, parseGoDuration } from './time-formats.js'

describe('parseGoDuration', () => {
  it.each([
    ['30s', 30_000],
    ['1m0s', 60_000],
    ['1h15m30.918s', 4_530_918],
    ['.5s', 500],
    ['100ms', 100],
    ['5us', 0.005],
    ['0', 0],
    ['0s', 0],
    ['-0s', 0],
    ['-1.5h', -5_400_000],
    ['+2s', 2000],
  ])('reads %s as %d ms', (text, milliseconds) => expect(parseGoDuration(text)).toBeCloseTo(milliseconds, 9))

  it.each([[''], ['30'], ['s'], ['1d'], ['1s2'], [' 1s'], ['1s '], ['--1s'], ['.s'], ['1e3s'], ['-']])(
    'refuses %j',
    (text) => expect(parseGoDuration(text)).toBeUndefined(),
  )
})

describe('formatGoDuration', () => {
  it.each([
    [0, '0s'],
    [1000, '1s'],
    [1500, '1.5s'],
    [90_000, '1m30s'],
    [86_400_000, '24h0m0s'],
    [3_600_030.5, '1h0m0.0305s'],
    [250, '250ms'],
    [0.25, '250µs'],
    [0.0015, '1.5µs'],
    [0.000003, '3ns'],
    [-1000, '-1s'],
  ])('writes %d ms as %s', (milliseconds, text) => expect(formatGoDuration(milliseconds)).toBe(text))

  it('writes what is read as the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 38), max: 2 ** 38 }), fc.nat(999), (milliseconds, fraction) => {
        const duration = milliseconds + fraction / 1000
        expect(parseGoDuration(formatGoDuration(duration))).toBeCloseTo(duration, 3)
      }),
    )
  })
})
