import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRfc3339 } from './time-formats.js'

test.each([
  ['2026-11-21T02:24:44.174Z', '2026-11-21T02:24:44.174Z'],
  ['2026-11-21T02:24:44Z', '2026-11-21T02:24:44.000Z'],
  ['2026-11-21T02:24:44', '2026-11-21T02:24:44.000Z'],
  ['2026-11-21 02:24:44', '2026-11-21T02:24:44.000Z'],
  ['2026-11-21t02:24:44z', '2026-11-21T02:24:44.000Z'],
  ['2026-11-21T02:24:44.1749999Z', '2026-11-21T02:24:44.174Z'],
  ['2026-11-21T02:24:44.1Z', '2026-11-21T02:24:44.100Z'],
  ['2026-11-21T02:24:44+05:30', '2026-11-20T20:54:44.000Z'],
  ['2026-11-21T02:24:44-01:00', '2026-11-21T03:24:44.000Z'],
])('reads %s as %s', (text, utc) => {
  expect(new Date(parseRfc3339(text) ?? Number.NaN).toISOString()).toBe(utc)
})

test.each([
  '',
  'now',
  '2026-11-21',
  '2026-02-30T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-11-21T24:00:00Z',
  '2026-11-21T02:60:00Z',
  '2026-11-21T02:24:44+25:00',
  '2026-11-21T02:24:44Zjunk',
])('does not read %j', (text) => {
  expect(parseRfc3339(text)).toBeUndefined()
})

test('reads back every time that a Date can write', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
      (date) => {
        expect(parseRfc3339(date.toISOString())).toBe(date.getTime())
      },
    ),
  )
})
