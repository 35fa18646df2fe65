import { ignoreElements, map, Subject, VirtualAction, VirtualTimeScheduler, type Observable } from 'rxjs'
import { storedConfig, type ProxyConfig } from '../model/proxy-config.js'
import { seq, type Seq } from '../model/record.js'
import { watchEventOf } from '../model/watch-event.js'
import type { Backend } from '../ports/backend.js'
import type { ChangeLogReader, ChangeLogWriter, LogInfo } from '../ports/change-log.js'
import { createStateFold, type StateFold } from '../state/state-fold.js'
import type { State } from '../state/state.js'
import { createRecorder, record, type Recorded, type Recorder } from './recorder.js'
import { runSyncEngine, type EngineReport } from './sync-engine.js'
import { trackChanges } from './track-changes.js'

interface ReplayOptions {
  /** Read, never written. */
  readonly log: Pick<ChangeLogReader, 'records' | 'objectsAt' | 'info'>
  /** The last record that is played; absent: all. */
  readonly untilSeq?: Seq
  /** Absent: events are folded and nothing is synced. */
  readonly backend?: Backend
  readonly config: ProxyConfig
  /** A log that keeps the events and the syncs of this replay. */
  readonly recordTo?: ChangeLogWriter
  /** Called before time moves on, with the virtual milliseconds that pass: real time can be made to follow. */
  readonly pace?: (virtualMs: number) => Promise<void>
  readonly onReport?: (report: EngineReport) => void
  /** Called after each event. The next one waits for a promise that it gives, as of the event loop's turn. */
  readonly onEvent?: (seq: Seq, observedAt: number) => void | Promise<void>
  readonly signal?: AbortSignal
}

export interface ReplaySummary {
  readonly events: number
  readonly syncs: number
  readonly failures: number
  readonly state: State
  /** The last successful sync. */
  readonly last?: Extract<EngineReport, { type: 'synced' }>
  /** Virtual milliseconds from the first to the last event. */
  readonly spanMs: number
}

/**
 * Runs a log through the engine, the same pipe that a live source goes through, on a virtual clock that shows the
 * recording's own times: the same log and settings give the same syncs, at whatever speed. A log whose beginning was
 * pruned starts with the objects that were there.
 */
export async function replay(options: ReplayOptions): Promise<ReplaySummary> {
  const { log, config, recordTo, onReport, onEvent, signal } = options
  const info = log.info()
  const startAt = info.firstAt ?? 0
  const fold = createStateFold(config.nodeName === undefined ? {} : { nodeName: config.nodeName })
  let syncing: Promise<void> | undefined
  const clock = new VirtualClock(startAt, () => syncing ?? recorder?.settled())
  const recorder = recordTo && createRecorder({ log: recordTo, scheduler: clock })
  recorder?.put({ type: 'config', observedAt: startAt, config: storedConfig(config) })

  const source = new Subject<Recorded>()
  const events =
    recorder === undefined
      ? source
      : source.pipe(
          map(({ event }) => event),
          record(recorder),
        )
  const outcome = { syncs: 0, failures: 0, done: false, error: undefined as unknown }
  let last: Synced | undefined
  const onRun = (ended: Promise<void>): void => {
    syncing = ended.then(() => {
      syncing = undefined
    })
  }
  const subscription = reports({ events, fold, clock, config, onRun, backend: options.backend, recorder }).subscribe({
    next: (report) => {
      if (report.type === 'synced') last = report
      outcome[report.type === 'synced' ? 'syncs' : 'failures']++
      onReport?.(report)
    },
    complete: () => (outcome.done = true),
    error: (error: unknown) => (outcome.error = error),
  })
  // A live agent goes on without its log; a replay that cannot keep what it was asked to keep is over.
  recorder?.health$.subscribe((health) => {
    if (health.type === 'degraded') outcome.error = health.cause ?? new Error(health.message)
  })

  const advanceTo = async (timeMs: number): Promise<void> => {
    for (let next = clock.nextAt; next !== undefined && next < timeMs && options.pace; next = clock.nextAt) {
      await options.pace(next - clock.now())
      await clock.advanceTo(next)
    }
    if (options.pace) await options.pace(timeMs - clock.now())
    await clock.advanceTo(timeMs)
  }

  let count = 0
  try {
    for (const recorded of eventsOf(options, info)) {
      signal?.throwIfAborted()
      const { observedAt } = recorded.event
      const waiting = options.pace ? advanceTo(observedAt) : clock.advanceTo(observedAt)
      if (waiting !== undefined) await waiting
      if (outcome.error !== undefined) throw outcome.error
      source.next(recorded)
      count++
      const pause = onEvent?.(recorded.seq, observedAt)
      if (pause !== undefined) await pause
    }
    const endAt = clock.now()
    await clock.advanceTo(endAt)
    source.complete()
    while (!outcome.done) {
      if (outcome.error !== undefined) throw outcome.error
      await advanceTo(clock.nextAt ?? clock.now())
    }
    fold.apply()
    return { events: count, ...pick(outcome), state: fold.state, spanMs: endAt - startAt, ...(last && { last }) }
  } finally {
    subscription.unsubscribe()
    await recorder?.close()
  }
}

type Synced = Extract<EngineReport, { type: 'synced' }>

const pick = ({ syncs, failures }: { syncs: number; failures: number }) => ({ syncs, failures })

/** The engine; without a backend only the fold. */
function reports({
  events,
  fold,
  clock,
  config,
  backend,
  recorder,
  onRun,
}: {
  readonly events: Observable<Recorded>
  readonly fold: StateFold
  readonly clock: VirtualClock
  readonly config: ProxyConfig
  readonly backend: Backend | undefined
  readonly recorder: Recorder | undefined
  readonly onRun: (ended: Promise<void>) => void
}): Observable<EngineReport> {
  if (backend === undefined) return events.pipe(trackChanges(fold), ignoreElements())
  const { minSyncPeriodMs, syncPeriodMs } = config
  return runSyncEngine({
    events,
    fold,
    backend,
    minSyncPeriodMs,
    syncPeriodMs,
    scheduler: clock,
    onRun,
    ...(recorder && { recorder }),
  })
}

/** The watch events of a log; of a pruned one first the objects that were there. */
function* eventsOf({ log, untilSeq }: ReplayOptions, info: LogInfo): Iterable<Recorded> {
  if (info.pruned) {
    const floor = log.objectsAt(seq(info.firstSeq - 1))
    const observedAt = info.firstAt ?? 0
    for (const object of floor.objects) yield { seq: floor.seq, event: { type: 'ADDED', object, observedAt } }
    for (const kind of floor.received) {
      yield {
        seq: floor.seq,
        event: { type: 'BOOKMARK', kind, resourceVersion: '', initialEventsEnd: true, observedAt },
      }
    }
  }
  const filter = { types: ['object', 'bookmark'] as const, ...(untilSeq !== undefined && { toSeq: untilSeq }) }
  for (const logRecord of log.records(filter)) {
    if (logRecord.type === 'object' || logRecord.type === 'bookmark') {
      yield { seq: logRecord.seq, event: watchEventOf(logRecord) }
    }
  }
}

/**
 * Time that moves only on request: the clock of a replay. Timers fire in the order of their times, each at its
 * own time, so that the same events and settings give the same runs.
 */
export class VirtualClock extends VirtualTimeScheduler {
  readonly #settled: () => Promise<void> | undefined

  /** `settled` answers what must end before time goes on: a sync under way takes no virtual time. */
  constructor(startMs: number, settled: () => Promise<void> | undefined = () => undefined) {
    super(VirtualAction, Number.POSITIVE_INFINITY)
    this.frame = startMs
    this.#settled = settled
  }

  /** Lets everything happen that is due until then, and sets the time. Synchronous where nothing is under way. */
  advanceTo(timeMs: number): Promise<void> | undefined {
    const waiting = this.#settled()
    if (waiting !== undefined) return this.#advanceAfter(waiting, timeMs)
    for (let next = this.actions[0]; next !== undefined && next.delay <= timeMs; next = this.actions[0]) {
      this.#run(next)
      const underWay = this.#settled()
      if (underWay !== undefined) return this.#advanceAfter(underWay, timeMs)
    }
    this.frame = Math.max(this.frame, timeMs)
    return undefined
  }

  /** When the next timer is due; undefined when there is none. */
  get nextAt(): number | undefined {
    return this.actions[0]?.delay
  }

  async #advanceAfter(waiting: Promise<void>, timeMs: number): Promise<void> {
    await waiting
    await this.advanceTo(timeMs)
  }

  #run(action: VirtualTimeScheduler['actions'][number]): void {
    this.actions.shift()
    this.frame = Math.max(this.frame, action.delay)
    const error: unknown = action.execute(action.state, action.delay)
    if (error !== undefined) throw error
  }
}
