import {
  from,
  last,
  Observable,
  type ObservableInput,
  type OperatorFunction,
  type SchedulerLike,
  Subscription,
} from 'rxjs'

export interface BoundedFrequencyOptions<Result> {
  /** From the end of a run to the start of the next, at least. */
  readonly minIntervalMs: number
  /** A run starts at the latest so long after the end of the one before, asked for or not. */
  readonly maxIntervalMs: number
  /** The same after a run with this result, where that is sooner. Undefined: `maxIntervalMs`. */
  readonly nextRunInMs?: (result: Result) => number | undefined
  /** The pause after a first failure, more than 0; it doubles with each failure that follows. */
  readonly retryMs: number
  /** No pause before a retry is longer. */
  readonly maxRetryMs: number
  /** Once the source is complete, a run that fails is tried again so often, and then given up. */
  readonly lastRetries: number
  /** One run. Its last value is the result; an error is a failure. Unsubscribed when the operator is. */
  readonly run: () => ObservableInput<Result>
}

export type RunOutcome<Result> =
  | { readonly type: 'done'; readonly result: Result }
  /** `retryInMs` is absent when the run is given up. */
  | { readonly type: 'failed'; readonly error: unknown; readonly retryInMs?: number }

/**
 * Runs when the source emits, but one run at a time, with a pause between the end of a run and the start of the next;
 * what comes meanwhile is one run, not many. A failed run is tried again with backoff; a new event moves the retry
 * forward, yet never before `retryMs`. When the source completes, what is asked for is run before the operator completes.
 *
 * Not `throttleTime`, which counts from the start of a run, and not kube-proxy's runner, which waits a full sync period
 * after each failure (kubernetes#48107).
 */
export function boundedFrequency<Result>(
  options: BoundedFrequencyOptions<Result>,
  scheduler: SchedulerLike,
): OperatorFunction<unknown, RunOutcome<Result>> {
  const { minIntervalMs, maxIntervalMs, retryMs, maxRetryMs, lastRetries, run } = options
  return (source) =>
    new Observable<RunOutcome<Result>>((subscriber) => {
      let running = false
      let wanted = false
      let completed = false
      let failures = 0
      let failuresSinceCompletion = 0
      let endedAt: number | undefined
      let longestPauseMs = maxIntervalMs
      const timer = new Subscription()
      let scheduled: Subscription | undefined
      subscriber.add(timer)

      const runAt = (time: number): void => {
        scheduled?.unsubscribe()
        const delay = time - scheduler.now()
        if (delay <= 0) return start()
        scheduled = scheduler.schedule(start, delay)
        timer.add(scheduled)
      }

      const plan = (): void => {
        if (running) return
        // A clock that steps back must not make a pause as long as the step.
        if (endedAt !== undefined) endedAt = Math.min(endedAt, scheduler.now())
        if (endedAt === undefined) {
          if (wanted) runAt(scheduler.now())
          else if (completed) subscriber.complete()
        } else if (wanted) runAt(endedAt + (failures === 0 ? minIntervalMs : Math.max(minIntervalMs, retryMs)))
        else if (failures > 0) runAt(endedAt + pauseAfter(failures))
        else if (completed) subscriber.complete()
        else runAt(endedAt + longestPauseMs)
      }

      const pauseAfter = (count: number): number =>
        Math.max(minIntervalMs, Math.min(maxRetryMs, retryMs * 2 ** (count - 1)))

      const start = (): void => {
        running = true
        wanted = false
        subscriber.add(
          from(run())
            .pipe(last())
            .subscribe({
              next: (result) => ended({ type: 'done', result }),
              error: (error: unknown) => ended({ type: 'failed', error }),
            }),
        )
      }

      const ended = (outcome: RunOutcome<Result>): void => {
        running = false
        endedAt = scheduler.now()
        failures = outcome.type === 'done' ? 0 : failures + 1
        const sooner = outcome.type === 'done' ? options.nextRunInMs?.(outcome.result) : undefined
        longestPauseMs = Math.max(minIntervalMs, Math.min(maxIntervalMs, sooner ?? maxIntervalMs))
        if (outcome.type === 'failed' && completed && failuresSinceCompletion++ === lastRetries) {
          subscriber.next(outcome)
          return subscriber.complete()
        }
        subscriber.next(outcome.type === 'done' ? outcome : { ...outcome, retryInMs: pauseAfter(failures) })
        if (!subscriber.closed) plan()
      }

      subscriber.add(
        source.subscribe({
          next: () => {
            wanted = true
            plan()
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => {
            completed = true
            plan()
          },
        }),
      )
    })
}
