import { expect, it } from 'vitest'
import { checkWaitSeconds, underXtablesLock } from './xtables-lock.js'

it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
  'a wait of %d seconds is refused, for iptables would read something else',
  (seconds) => {
    expect(() => checkWaitSeconds(seconds)).toThrow(
      new RangeError(`waitSeconds: ${seconds}: give whole seconds from 1 to 2147483647`),
    )
  },
)

it.each([1, 5, 2 ** 31 - 1])('a wait of %d seconds is taken', (seconds) => {
  expect(() => checkWaitSeconds(seconds)).not.toThrow()
})

it('a command becomes one that runs under the lock', () => {
  expect(underXtablesLock(['iptables', '-F'], { file: '/run/xtables.lock', waitSeconds: 5 }).join(' ')).toBe(
    'flock --exclusive --timeout=5 --conflict-exit-code=75 /run/xtables.lock iptables -F',
  )
})
