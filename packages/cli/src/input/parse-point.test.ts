import { expect, test } from 'vitest'
import { parsePoint } from './point-in-time.js'

test.each([
  ['118', { type: 'seq', seq: 118 }],
  ['2026-01-31T14:03:00Z', { type: 'time', time: Date.UTC(2026, 0, 31, 14, 3) }],
  ['2026-01-31T14:03:00', { type: 'time', time: Date.UTC(2026, 0, 31, 14, 3) }],
  ['2026-01-31T14:03:00.5+02:00', { type: 'time', time: Date.UTC(2026, 0, 31, 12, 3, 0, 500) }],
  ['14:03', { type: 'clock', sinceMidnight: 50_580_000 }],
  ['14:03:20', { type: 'clock', sinceMidnight: 50_600_000 }],
  ['14:03:20.181', { type: 'clock', sinceMidnight: 50_600_181 }],
  ['14:03:59.9', { type: 'clock', sinceMidnight: 50_639_900 }],
  ['-5m', { type: 'back', by: 300_000 }],
  ['-90s', { type: 'back', by: 90_000 }],
  ['-1h30m', { type: 'back', by: 5_400_000 }],
  ['-2d', { type: 'back', by: 172_800_000 }],
  ['-0s', { type: 'back', by: 0 }],
])('%s is a point in time', (text, point) => {
  expect(parsePoint(text)).toEqual(point)
})

test.each([
  '',
  '-',
  '-5',
  '5m',
  '-5x',
  '-m',
  '-30m1h',
  '24:00',
  '14:60',
  '14:3',
  '14:03:60',
  '14:03:20.',
  '14:03.5',
  '1.5',
  '+5',
  '-5m ',
  'yesterday',
  '2026-02-30T00:00:00Z',
  '99999999999999999999',
])('%j is none', (text) => {
  expect(parsePoint(text)).toBeUndefined()
})
