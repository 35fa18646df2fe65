import { describe, expect, it } from 'vitest'
import { parseGoDuration } from './go-duration.js'

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
