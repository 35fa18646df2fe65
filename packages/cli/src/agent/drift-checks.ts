import { boundedFrequency } from '@pointsman/core'
import { concat, defer, ignoreElements, mergeMap, Observable, of, type SchedulerLike, tap, timer } from 'rxjs'

export interface DriftChecksOptions<Drift> {
  /** A word that rules are in force, or that somebody may have changed them. Nothing is looked at before the first. */
  readonly asked: Observable<unknown>
  /** Compares the tables with what was put there, and mends what differs. Undefined: there was nothing to compare with. */
  readonly check: () => Promise<readonly Drift[] | undefined>
  /** From the end of a look to the next one, at most. */
  readonly intervalMs: number
  /** From the end of a look to the next one, at least, however often it is asked for. */
  readonly minIntervalMs: number
}

/** What a look at the tables came to. */
export type DriftOutcome<Drift> =
  | { readonly type: 'compared'; readonly drifts: readonly Drift[] }
  | { readonly type: 'failed'; readonly error: unknown }

/**
 * Looks for drift when it is asked for, and at an interval. Low priority: a look at many rules takes seconds of a processor,
 * so that the pause after each lasts at least four times as long as it took, up to that interval.
 */
export function driftChecks<Drift>(
  { asked, check, intervalMs, minIntervalMs }: DriftChecksOptions<Drift>,
  scheduler: SchedulerLike,
): Observable<DriftOutcome<Drift>> {
  return new Observable((subscriber) => {
    const look = (): Observable<boolean> => {
      const startedAt = scheduler.now()
      return defer(check).pipe(
        tap({
          next: (drifts) => {
            if (drifts !== undefined) subscriber.next({ type: 'compared', drifts })
          },
          error: (error: unknown) => subscriber.next({ type: 'failed', error }),
        }),
        mergeMap(() =>
          concat(
            of(true),
            timer(Math.min(intervalMs, PAUSE * (scheduler.now() - startedAt)), scheduler).pipe(ignoreElements()),
          ),
        ),
      )
    }
    const frequency = {
      minIntervalMs,
      maxIntervalMs: intervalMs,
      retryMs: minIntervalMs,
      maxRetryMs: intervalMs,
      lastRetries: 0,
    }
    return asked.pipe(boundedFrequency({ ...frequency, run: look }, scheduler), ignoreElements()).subscribe(subscriber)
  })
}

const PAUSE = 4
