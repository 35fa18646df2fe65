import { expect, it } from 'vitest'
import { goTime } from './health.js'

it.each([
  [Date.UTC(2026, 10, 21, 9, 5, 7, 123), '2026-11-21T09:05:07.123Z'],
  [Date.UTC(2026, 10, 21, 9, 5, 7, 120), '2026-11-21T09:05:07.12Z'],
  [Date.UTC(2026, 10, 21, 9, 5, 7, 100), '2026-11-21T09:05:07.1Z'],
  [Date.UTC(2026, 10, 21, 9, 0, 0, 0), '2026-11-21T09:00:00Z'],
  [Date.UTC(2026, 10, 21, 9, 0, 50, 5), '2026-11-21T09:00:50.005Z'],
  [undefined, '0001-01-01T00:00:00Z'],
])('%s is %s, as Go writes it', (ms, text) => expect(goTime(ms)).toBe(text))
