import {
  asyncScheduler,
  connect,
  endWith,
  ignoreElements,
  map,
  merge,
  NEVER,
  Observable,
  type ObservableInput,
  of,
  type SchedulerLike,
  skipUntil,
  takeUntil,
  tap,
} from 'rxjs'
import type { ObjectKind } from '../model/kubernetes-object.js'
import type { ServicePortName } from '../model/names.js'
import { seq, type Seq } from '../model/record.js'
import { codeOf, messageOf } from '../model/language.js'
import type { Backend, SyncRequest, SyncResult } from '../ports/backend.js'
import type { Applied, StateFold } from '../state/state-fold.js'
import { boundedFrequency } from './bounded-frequency.js'
import { heldUntil, trackChanges, type TrackOptions } from './track-changes.js'
import type { Recorded, Recorder } from './recorder.js'
import { createRefusals, refusalNotices, type RefusalChanges } from './refusals.js'

/** One run of the backend. Times in milliseconds since 1970 UTC. */
export interface SyncReport {
  readonly fromSeq: Seq
  readonly toSeq: Seq
  readonly changed: ReadonlySet<ServicePortName> | 'all'
  readonly startedAt: number
  readonly endedAt: number
  /** What reading the changes found, as `Applied` has it. */
  readonly diagnostics: Applied['diagnostics']
}

export type EngineReport =
  /** From here on the applied seq is `toSeq`. */
  | ({ readonly type: 'synced'; readonly result: SyncResult; readonly refusals: RefusalChanges } & SyncReport)
  /** `retryInMs` is absent when the run is given up. */
  | ({ readonly type: 'failed'; readonly error: unknown; readonly retryInMs?: number } & SyncReport)

export interface SyncEngineOptions {
  /** Recorded events, in order of seq. */
  readonly events: Observable<Recorded>
  readonly fold: StateFold
  readonly backend: Backend
  readonly minSyncPeriodMs: number
  /** The longest pause between retries. */
  readonly syncPeriodMs: number
  /** Where runs are recorded; absent: nowhere. */
  readonly recorder?: Pick<Recorder, 'put'>
  /** Measures pauses and durations. */
  readonly scheduler?: SchedulerLike
  /** What reports are dated by: milliseconds since 1970 UTC. Default: the scheduler's clock. */
  readonly clock?: () => number
  /** What a log had received, and applied (0: nothing), before: a restart goes on there. */
  readonly received?: Iterable<ObjectKind>
  readonly appliedSeq?: Seq
  /** `cut-short`: events that end before everything was received once bring nothing about. Default: a recording's, whole. */
  readonly atEnd?: TrackOptions['atEnd']
  /** Nothing is synced before it emits; absent: at once. */
  readonly ready?: ObservableInput<unknown>
  /**
   * Asks for a run although nothing was observed: what is in force is in doubt, as the backend knows by itself, or, where this emits `all`, as
   * it is to be asked to find out.
   */
  readonly resync?: Observable<unknown>
  /** Called as a run begins, with a promise of its end: when it is recorded and reported. */
  readonly onRun?: (ended: Promise<void>) => void
}

/** A run takes at least so long to come after an hour without one, as kube-proxy's does. */
const MAX_SYNC_INTERVAL_MS = 3_600_000
const FIRST_RETRY_MS = 1000
const LAST_RETRIES = 5

/**
 * The pipe from recorded events to a backend: track changes, throttle, apply, sync. The applied seq moves after a
 * successful run and never before; a run that follows a failure carries everything since the last success (kubernetes#112604). The first run is for `all`.
 * Service ports that the backend refuses hold up neither the applied seq nor the others: they are requested again with
 * backoff, or when they change.
 */
export function runSyncEngine(options: SyncEngineOptions): Observable<EngineReport> {
  const { events, fold, backend, recorder, ready = of(true), scheduler = asyncScheduler } = options
  const { received = [], atEnd = 'whole', clock = () => scheduler.now() } = options
  const retryMs = Math.min(FIRST_RETRY_MS, options.syncPeriodMs)
  const usesServiceCidrs = backend.usesServiceCidrs === true

  return new Observable<EngineReport>((subscriber) => {
    const { appliedSeq } = options
    let changed: ReadonlySet<ServicePortName> | 'all' = 'all'
    /** The first event that no run has taken yet, and the first of those taken that no run has brought about yet. */
    let firstPending = appliedSeq === undefined ? undefined : seq(appliedSeq + 1)
    let firstTaken: Seq | undefined
    /** The next run is for all. */
    let isAllInDoubt = false
    const refusals = createRefusals({ retryMs, maxRetryMs: options.syncPeriodMs })

    /** Everything since the last success, in one request. */
    const takeRequest = (): SyncReport => {
      const applied = fold.apply()
      if (applied.nodeChanged || (applied.serviceCidrsChanged && usesServiceCidrs)) changed = 'all'
      if (isAllInDoubt) changed = 'all'
      isAllInDoubt = false
      if (changed !== 'all') changed = new Set([...changed, ...applied.changed])
      const startedAt = clock()
      firstTaken ??= firstPending
      firstPending = undefined
      const toSeq = fold.state.seq
      const fromSeq = seq(Math.min(firstTaken ?? toSeq, toSeq))
      return { fromSeq, toSeq, changed, startedAt, endedAt: startedAt, diagnostics: applied.diagnostics }
    }

    /** Refused service ports are tried again together with what has changed, where that comes first. */
    const withDue = (request: SyncReport): SyncReport => {
      const due = refusals.due(request.startedAt)
      if (request.changed === 'all' || due.length === 0) return request
      return { ...request, changed: new Set([...request.changed, ...due]) }
    }

    const run = (): Observable<EngineReport> =>
      new Observable<EngineReport>((runSubscriber) => {
        const abort = new AbortController()
        const begunAt = scheduler.now()
        const request = withDue(takeRequest())
        let underWay = true
        const sync = async (): Promise<void> => {
          const outcome = await attempt(backend, { ...request, state: fold.state, objects: fold.objects }, abort.signal)
          underWay = false
          const endedAt = clock()
          // Wall time may have been set meanwhile: what it took is not.
          const report = { ...request, startedAt: endedAt - (scheduler.now() - begunAt), endedAt }
          recordSync({ report, outcome })
          if ('error' in outcome) return runSubscriber.error(new FailedSync(report, outcome.error))
          const { changed: requested, endedAt: at } = report
          const ofState = changed === 'all' ? new Set<ServicePortName>() : changed
          const changes = refusals.after({ refused: outcome.result.refused, requested, changed: ofState, at })
          for (const notice of refusalNotices(changes, at)) recorder?.put(notice)
          changed = new Set()
          firstTaken = undefined
          runSubscriber.next({ type: 'synced', result: outcome.result, refusals: changes, ...report })
          runSubscriber.complete()
        }
        const ended = sync()
        options.onRun?.(ended)
        return () => {
          if (underWay) abort.abort()
        }
      })

    const recordSync = ({ report, outcome }: { report: SyncReport; outcome: Outcome }): void => {
      const { result } = outcome
      recorder?.put({
        type: 'sync',
        observedAt: report.endedAt,
        backend: backend.name,
        fromSeq: report.fromSeq,
        toSeq: report.toSeq,
        full: result?.full ?? report.changed === 'all',
        changed: report.changed === 'all' ? fold.state.services.size : report.changed.size,
        durationMs: report.endedAt - report.startedAt,
        ...(result && { rules: result.rules, bytes: result.bytes, digest: result.digest }),
        ...(result?.mark !== undefined && { mark: result.mark }),
        ...(result !== undefined && result.refused.length > 0 && { refused: result.refused.length }),
        ...('error' in outcome && { error: { code: codeOf(outcome.error), message: messageOf(outcome.error) } }),
      })
    }

    const asked = events.pipe(
      tap((recorded) => (firstPending ??= recorded.seq)),
      trackChanges(fold, { received, atEnd, ...(!usesServiceCidrs && { without: ['ServiceCIDR'] }) }),
      heldUntil(ready),
    )
    const resync = options.resync?.pipe(tap((what) => (isAllInDoubt ||= what === 'all')))
    return withResync(asked, resync)
      .pipe(
        boundedFrequency(
          {
            minIntervalMs: options.minSyncPeriodMs,
            maxIntervalMs: MAX_SYNC_INTERVAL_MS,
            nextRunInMs: () => refusals.nextInMs(clock()),
            retryMs,
            maxRetryMs: options.syncPeriodMs,
            lastRetries: LAST_RETRIES,
            run,
          },
          scheduler,
        ),
        map((outcome) => (outcome.type === 'done' ? outcome.result : failureReport(outcome))),
      )
      .subscribe(subscriber)
  })
}

/** Not before the first run was asked for, and not after the events are over. */
const withResync = (asked: Observable<unknown>, resync: Observable<unknown> = NEVER): Observable<unknown> =>
  asked.pipe(
    connect((shared) => {
      const over = shared.pipe(ignoreElements(), endWith(undefined))
      return merge(shared, resync.pipe(skipUntil(shared), takeUntil(over)))
    }),
  )

type Outcome = { readonly result: SyncResult } | { readonly result?: never; readonly error: unknown }

async function attempt(
  backend: Backend,
  { state, changed, fromSeq, toSeq, objects }: SyncRequest,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    return { result: await backend.sync({ state, changed, fromSeq, toSeq, objects }, signal) }
  } catch (error) {
    return { error }
  }
}

/** Carries what a failed run was about through the throttle. */
class FailedSync extends Error {
  readonly report: SyncReport

  constructor(report: SyncReport, cause: unknown) {
    super('the backend refused a sync', { cause })
    this.report = report
  }
}

function failureReport({ error, retryInMs }: { error: unknown; retryInMs?: number }): EngineReport {
  // Whatever else was thrown inside a run is a bug, and crashes.
  if (!(error instanceof FailedSync)) throw error
  return { type: 'failed', error: error.cause, ...error.report, ...(retryInMs !== undefined && { retryInMs }) }
}
