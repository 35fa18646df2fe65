import { expect, test } from 'vitest'
import { createRepeats } from './agent-log.js'

test('the same is said once in a while, with how often it was so meanwhile; other things at once', () => {
  const { take } = createRepeats(60_000)
  expect([take('nat', 0), take('nat', 1000), take('filter', 1500), take('nat', 59_000)]).toEqual([
    0,
    undefined,
    0,
    undefined,
  ])
  expect([take('nat', 60_000), take('nat', 61_000), take('filter', 200_000)]).toEqual([2, undefined, 0])
})

test('a clock that is set back keeps nothing quiet', () => {
  const { take } = createRepeats(60_000)
  expect([take('nat', 100_000), take('nat', 5000)]).toEqual([0, 0])
})
