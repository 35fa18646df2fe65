import { timer } from 'rxjs'
import { expect, test } from 'vitest'
import { VirtualClock } from './replay.js'

test('timers fire in the order of their times, each at its own time', () => {
  const clock = new VirtualClock(1000)
  const fired: string[] = []
  timer(500, clock).subscribe(() => fired.push(`b at ${clock.now()}`))
  timer(200, clock).subscribe(() => fired.push(`a at ${clock.now()}`))
  timer(900, clock).subscribe(() => fired.push(`c at ${clock.now()}`))
  expect(clock.nextAt).toBe(1200)
  expect(clock.advanceTo(1600)).toBeUndefined()
  expect(fired).toEqual(['a at 1200', 'b at 1500'])
  expect(clock.now()).toBe(1600)
})

test('a cancelled timer does not fire', () => {
  const clock = new VirtualClock(0)
  const fired: number[] = []
  const subscription = timer(10, clock).subscribe(() => fired.push(clock.now()))
  subscription.unsubscribe()
  void clock.advanceTo(100)
  expect(fired).toEqual([])
  expect(clock.nextAt).toBeUndefined()
})

test('what is under way ends before time goes on', async () => {
  let underWay: Promise<void> | undefined
  const clock = new VirtualClock(0, () => underWay)
  const seen: string[] = []
  timer(10, clock).subscribe(() => {
    underWay = Promise.resolve().then(() => {
      seen.push(`ended at ${clock.now()}`)
      underWay = undefined
    })
  })
  timer(20, clock).subscribe(() => seen.push(`next at ${clock.now()}`))
  await clock.advanceTo(30)
  expect(seen).toEqual(['ended at 10', 'next at 20'])
})
