import { concat, Observable, of, throwError } from 'rxjs'
import { expect, test } from 'vitest'
import { VirtualClock } from '../../pipeline/replay.js'
import { type Next, stepByStep } from './kind-machine.js'

interface Item {
  readonly type: 'item'
  readonly text: string
}
const item = (text: string): Item => ({ type: 'item', text })
const next = (state: number, waitMs: number): Next<number> => ({ type: 'next', state, waitMs })

function follow(run: (state: number) => Observable<Item | Next<number>>): {
  readonly clock: VirtualClock
  readonly seen: readonly string[]
  readonly stop: () => void
} {
  const clock = new VirtualClock(0)
  const seen: string[] = []
  const subscription = stepByStep<number, Item>(1, run, clock).subscribe({
    next: ({ text }) => seen.push(`${text} at ${clock.now()}`),
    error: (error: unknown) => seen.push(`failed: ${String(error)}`),
    complete: () => seen.push('complete'),
  })
  return { clock, seen, stop: () => subscription.unsubscribe() }
}

test('a step begins with what the one before ended with, after its pause', () => {
  const { clock, seen } = follow((state) =>
    state < 4 ? of(item(`step ${state}`), next(state + 1, state * 100)) : of(item('last')),
  )
  void clock.advanceTo(10_000)
  expect(seen).toEqual(['step 1 at 0', 'step 2 at 100', 'step 3 at 300', 'last at 600', 'complete'])
})

test('steps that fail are failures', () => {
  const { seen } = follow(() =>
    concat(
      of(item('one')),
      throwError(() => new Error('broken')),
    ),
  )
  expect(seen).toEqual(['one at 0', 'failed: Error: broken'])
})

test('who stops listening ends the step and the pause', () => {
  let open = 0
  const { clock, seen, stop } = follow(
    (state) =>
      new Observable((subscriber) => {
        open++
        if (state === 1) {
          subscriber.next(next(2, 50))
          subscriber.complete()
        }
        return () => open--
      }),
  )
  expect(open).toBe(0)
  void clock.advanceTo(60)
  expect(open).toBe(1)
  stop()
  expect(open).toBe(0)
  expect(clock.nextAt).toBeUndefined()
  expect(seen).toEqual([])
})

test('a hundred thousand steps end as they began', () => {
  const { clock, seen } = follow((state) => (state < 100_000 ? of(next(state + 1, 1)) : of(item('last'))))
  void clock.advanceTo(1_000_000)
  expect(seen).toEqual(['last at 99999', 'complete'])
})
