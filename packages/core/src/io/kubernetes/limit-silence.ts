import { Observable, type OperatorFunction, type SchedulerLike } from 'rxjs'

/**
 * Passes values on; where none has come for `limitMs()`, asked anew after each value, it gives `late(limitMs)` and completes. The
 * first value is waited for likewise.
 */
export const limitSilence =
  <Value>(
    limitMs: () => number,
    late: (limitMs: number) => Value,
    scheduler: SchedulerLike,
  ): OperatorFunction<Value, Value> =>
  (source) =>
    new Observable<Value>((subscriber) => {
      const wait = () => {
        const ms = limitMs()
        return scheduler.schedule(() => {
          subscriber.next(late(ms))
          subscriber.complete()
        }, ms)
      }
      let timer = wait()
      subscriber.add(() => timer.unsubscribe())
      subscriber.add(
        source.subscribe({
          next: (value) => {
            timer.unsubscribe()
            subscriber.next(value)
            if (!subscriber.closed) timer = wait()
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      )
    })
