import { expect, test } from 'vitest'
import { backoffMs } from './kind-machine.js'

const backoff = { baseMs: 1000, capMs: 30_000 }

test('the bound doubles with each failure, up to the cap', () => {
  const bounds = [1, 2, 3, 4, 5, 6, 7, 5000].map((failures) => backoffMs(backoff, failures, 1))
  expect(bounds).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

test('the pause is anything up to the bound, and never nothing', () => {
  expect(backoffMs(backoff, 3, 0.5)).toBe(2000)
  expect(backoffMs(backoff, 3, 0)).toBe(50)
})

test('a server that says how long to wait is given that long, and nodes still come back one by one', () => {
  expect(backoffMs(backoff, 1, 0.25, 5000)).toBe(5250)
})
