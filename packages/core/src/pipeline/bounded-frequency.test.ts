import { type Observable, map, type SchedulerLike } from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import { describe, expect, test } from 'vitest'
import { boundedFrequency, type BoundedFrequencyOptions } from './bounded-frequency.js'

const options = { minIntervalMs: 3, maxIntervalMs: 1000, retryMs: 4, maxRetryMs: 10, lastRetries: 2 }

/** Marbles: one character a millisecond; `(x` groups take their own width, as in RxJS. */
function scenario(
  check: (tools: {
    throttled: (
      source: string,
      runs: readonly string[],
      overrides?: Partial<BoundedFrequencyOptions<string>>,
    ) => Observable<string>
    expectObservable: TestScheduler['expectObservable']
    starts: () => readonly number[]
  }) => void,
): void {
  const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected))
  scheduler.run(({ hot, cold, expectObservable }) => {
    const starts: number[] = []
    check({
      expectObservable,
      starts: () => starts,
      throttled: (source, runs, overrides = {}) => {
        let count = 0
        const run = (): Observable<string> => {
          starts.push(scheduler.now())
          return cold(runs[Math.min(count++, runs.length - 1)] ?? '|')
        }
        return hot(source).pipe(
          boundedFrequency({ ...options, run, ...overrides }, scheduler),
          map((outcome) =>
            outcome.type === 'done' ? outcome.result : `failed, again in ${outcome.retryInMs ?? 'never'}`,
          ),
        )
      },
    })
  })
}

describe('boundedFrequency', () => {
  test('runs at once when nothing ran before', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('--a--', ['(x|)']), '^ 50ms !').toBe('--x')
    })
  })

  test('waits from the end of a run, not from its start', () => {
    // The first run lasts 4 ms: from 0 to 4. The next may start at 7.
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('ab', ['----(x|)', '(y|)']), '^ 50ms !').toBe('----x--y')
    })
  })

  test('with no pause between runs, what came during a run is one run right after it', () => {
    scenario(({ throttled, expectObservable }) => {
      const runs = ['----(x|)', '(y|)', '(z|)']
      expectObservable(throttled('abc-----d', runs, { minIntervalMs: 0 }), '^ 50ms !').toBe('----(xy)z', undefined)
    })
  })

  test('runs again unasked when the result says so, yet never sooner than between any two runs', () => {
    scenario(({ throttled, expectObservable }) => {
      const nextRunInMs = (result: string): number | undefined => ({ x: 6, y: 1 })[result]
      expectObservable(throttled('a', ['(x|)', '(y|)', '(z|)'], { nextRunInMs }), '^ 50ms !').toBe('x-----y--z')
    })
  })

  test('makes one run of a burst', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('abcdef', ['(x|)']), '^ 50ms !').toBe('x--x--x')
    })
  })

  test('never starts a run while another is under way', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('a--b--c--d', ['-------------(x|)', '(y|)']), '^ 50ms !').toBe('-------------x--y')
    })
  })

  test('runs again after the longest interval though nothing came', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('a', ['(x|)'], { maxIntervalMs: 8 }), '^ 20ms !').toBe('x-------x-------x')
    })
  })

  test('does not run before something came', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('', ['(x|)'], { maxIntervalMs: 8 }), '^ 20ms !').toBe('')
    })
  })

  test('tries a failed run again, with a pause that doubles up to a limit', () => {
    const outcomes = { a: 'failed, again in 4', b: 'failed, again in 8', c: 'failed, again in 10', x: 'x' }
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('1', ['#', '#', '#', '(x|)']), '^ 50ms !').toBe('a---b-------c---------x', outcomes)
    })
  })

  test('a new event moves a retry forward, but not before the first pause', () => {
    const outcomes = { a: 'failed, again in 4', b: 'failed, again in 8', x: 'x' }
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('1----2', ['#', '#', '(x|)']), '^ 50ms !').toBe('a---b---x', outcomes)
    })
  })

  test('forgets failures after a success', () => {
    const outcomes = { a: 'failed, again in 4', x: 'x' }
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('1------2', ['#', '(x|)', '#', '(x|)']), '^ 50ms !').toBe('a---x--a---x', outcomes)
    })
  })

  test('runs what is asked for before it completes', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('ab|', ['(x|)'])).toBe('x--(x|)')
    })
  })

  test('completes with a source that asked for nothing', () => {
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('---|', ['(x|)'])).toBe('---|')
    })
  })

  test('gives a failing run up some tries after the source completed', () => {
    const outcomes = { a: 'failed, again in 4', b: 'failed, again in 8', c: 'failed, again in never' }
    scenario(({ throttled, expectObservable }) => {
      expectObservable(throttled('(1|)', ['#'])).toBe('a---b-------(c|)', outcomes)
    })
  })

  test('pauses no longer when the clock steps back', () => {
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected))
    scheduler.run(({ hot, expectObservable }) => {
      const stepped: SchedulerLike = {
        // An hour back, between the first run and what asks for the next.
        now: () => scheduler.now() - (scheduler.now() > 5 ? 3_600_000 : 0),
        schedule: scheduler.schedule.bind(scheduler),
      }
      const source = hot('a-------bcd-e')
      expectObservable(source.pipe(boundedFrequency({ ...options, run: () => ['x'] }, stepped)), '^ 18ms !').toBe(
        'x----------x--x',
        { x: { type: 'done', result: 'x' } },
      )
    })
  })

  test('ends the run under way when it is unsubscribed', () => {
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected))
    scheduler.run(({ hot, cold, expectObservable, expectSubscriptions }) => {
      const run = cold('------(x|)')
      expectObservable(hot('-a').pipe(boundedFrequency({ ...options, run: () => run }, scheduler)), '---!').toBe('')
      expectSubscriptions(run.subscriptions).toBe('-^-!')
    })
  })
})
