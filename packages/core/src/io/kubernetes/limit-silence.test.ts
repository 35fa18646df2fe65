import { asyncScheduler } from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import { expect, test } from 'vitest'
import { limitSilence } from './answer.js'

test.each([
  ['a value within the limit moves it', '-a--b--c|', '-a--b--c|'],
  ['none at all within the limit is late', '-----a', '----(l|)'],
  ['none for so long after another is late, and what comes then is not heard', '-a------b', '-a---(l|)'],
])('%s', (_, values, passed) => {
  new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
    const limited = cold(values).pipe(
      limitSilence(
        () => 4,
        () => 'l',
        asyncScheduler,
      ),
    )
    expectObservable(limited).toBe(passed)
  })
})

test('the limit is asked for anew after each value', () => {
  new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
    let limitMs = 2
    const values = cold('-a------b----c')
    expectObservable(
      values.pipe(
        limitSilence(
          () => {
            limitMs += 4
            return limitMs
          },
          () => 'l',
          asyncScheduler,
        ),
      ),
    ).toBe('-a------b----c-----------------(l|)')
  })
})
