import {
  boundedFrequency,
  type ChangingProcess,
  type FamilyDrift,
  type Listening,
  type LogEntry,
  type OpenDataplane,
  messageOf,
  shortList,
} from '@pointsman/core'
import {
  BehaviorSubject,
  concat,
  defer,
  EMPTY,
  filter,
  ignoreElements,
  interval,
  merge,
  mergeMap,
  Observable,
  of,
  type SchedulerLike,
  Subject,
  switchMap,
  take,
  takeUntil,
  tap,
  timer,
} from 'rxjs'
import type { AgentEvent } from './agent-event.js'
import { createRepeats } from './agent-log.js'
import { processText } from './observe/damage.js'

interface KeepInForceOptions {
  readonly machine: Pick<OpenDataplane, 'hearsEveryChange' | 'watchChanges'> & {
    readonly backend: Pick<OpenDataplane['backend'], 'repairDrift'>
  }
  /** Emits when rules are in force: before, there is nothing that could differ. */
  readonly inForce: Observable<unknown>
  /** Whether the first sync has begun to read the tables. */
  readonly hasRead: () => boolean
  readonly syncPeriodMs: number
  /** Measures durations: of a clock that is not set. */
  readonly scheduler: SchedulerLike
  /** What events and notices are dated by: milliseconds since 1970 UTC. */
  readonly clock: () => number
  readonly signal: AbortSignal
  readonly onEvent: (event: AgentEvent) => void
  /** What the log has to tell. */
  readonly onNotice: (notice: Extract<LogEntry, { type: 'notice' }>) => void
  /** The tables could not be compared, or not be repaired: what is in force is in doubt. */
  readonly onDoubt: () => void
  readonly onWarning: (message: string) => void
  /** The watch has begun: it listens, or cannot yet. */
  readonly onWatching?: () => void
}

/**
 * Keeps rules as they were put there: compares them when an external change is noticed, when a change may have been missed,
 * and at an interval; repairs what differs, and reports who did it as far as that is known. Settles when the signal aborts.
 */
export async function keepInForce(options: KeepInForceOptions): Promise<void> {
  const { machine, inForce, syncPeriodMs, scheduler, signal, onEvent } = options
  const changed = new Subject<ChangingProcess | undefined>()
  const over = new Subject<void>()
  const suspects = createSuspects()
  const repeats = createRepeats(QUIET_MS)
  const listening = new BehaviorSubject<Listening>({ type: 'deaf' })
  let isInForce = false
  /** Nobody has changed what the first sync read: the watch was listening before, and has reported nothing since. */
  let isUntouched = false
  let hasListened = false
  changed.subscribe((by) => {
    isUntouched = false
    if (by !== undefined) suspects.add(by)
  })
  const inForceFirst = inForce.pipe(
    take(1),
    tap(() => (isInForce = true)),
    filter(() => !isUntouched),
  )
  const whileDeaf = listening.pipe(
    switchMap(({ type }) =>
      type === 'deaf' && machine.hearsEveryChange ? interval(syncPeriodMs * DEAF_PERIODS, scheduler) : EMPTY,
    ),
  )
  const asked = merge(inForceFirst, changed, whileDeaf).pipe(
    filter(() => isInForce),
    takeUntil(over),
  )
  const looks = driftChecks(
    {
      asked,
      check: () => machine.backend.repairDrift(signal),
      intervalMs: syncPeriodMs * (machine.hearsEveryChange ? 10 : DEAF_PERIODS),
      minIntervalMs: LEAST_PAUSE_MS,
    },
    scheduler,
  ).subscribe((outcome) => {
    const at = options.clock()
    const { waitedMs } = outcome
    if (outcome.type === 'failed') {
      if (signal.aborted) return
      onEvent({ type: 'drift', drifts: [], at, error: outcome.error, waitedMs })
      options.onDoubt()
      return
    }
    const by = suspects.take()
    onEvent({ type: 'drift', drifts: outcome.drifts, at, by, waitedMs })
    for (const drift of outcome.drifts) {
      const quiet = repeats.take(`${drift.family} ${drift.chains.join()}`, scheduler.now())
      if (quiet !== undefined) options.onNotice(driftNotice(drift, { by, quiet }, at))
    }
  })

  try {
    await machine.watchChanges({
      signal,
      intervalMs: syncPeriodMs,
      onChange: (by) => changed.next(by),
      onError: (error) => options.onWarning(`external rule changes may go undetected: ${messageOf(error)}`),
      onListening: (now) => {
        const before = listening.value
        if (now.type === 'listening') {
          if (!hasListened && !options.hasRead()) isUntouched = true
          // What was changed before was not reported: the watch begins late, or again.
          else changed.next(undefined)
          hasListened = true
        } else isUntouched = false
        if (before.type !== now.type || now.type === 'deaf') onEvent({ type: 'listening', listening: now })
        listening.next(now)
        options.onWatching?.()
      },
    })
  } finally {
    over.next()
    looks.unsubscribe()
  }
}

const LEAST_PAUSE_MS = 1000
/** From one look to the next, in sync periods, where external changes are not reported. */
const DEAF_PERIODS = 2
/** How often a repeated change is recorded. */
const QUIET_MS = 60_000

/** Processes that changed tables since the last look, the last few of them. */
function createSuspects(): {
  readonly add: (process: ChangingProcess) => void
  readonly take: () => readonly ChangingProcess[]
} {
  let suspects: ChangingProcess[] = []
  return {
    add: ({ pid, command }) => {
      suspects = [...suspects.filter((one) => one.pid !== pid), { pid, command }].slice(-MAX_SUSPECTS)
    },
    take: () => {
      const taken = suspects
      suspects = []
      return taken
    },
  }
}

const MAX_SUSPECTS = 5
const MAX_CHAINS = 20

/** `IPv4 rules were modified externally and have been restored: chains nat KUBE-SERVICES; modified by: iptables (process 4711)` */
export function driftText(
  { family, chains }: Pick<FamilyDrift, 'family' | 'chains'>,
  { by, again = '' }: { readonly by: readonly ChangingProcess[]; readonly again?: string },
): string {
  const who = by.map(processText).join(', ')
  return `${family} rules were modified externally and have been restored${again}: chains ${shortList(chains, 3)}; modified by: ${who === '' ? 'unknown' : who}`
}

function driftNotice(
  { family, chains, bytes }: FamilyDrift,
  { by, quiet }: { readonly by: readonly ChangingProcess[]; readonly quiet: number },
  observedAt: number,
): Extract<LogEntry, { type: 'notice' }> {
  const again = quiet === 0 ? '' : ` (${quiet + 1} more times since the last report)`
  return {
    type: 'notice',
    observedAt,
    code: 'RULES_CHANGED',
    message: driftText({ family, chains }, { by, again }),
    details: {
      family,
      chains: chains.slice(0, MAX_CHAINS),
      chainCount: chains.length,
      bytes,
      ...(quiet > 0 && { times: quiet + 1 }),
      ...(by.length > 0 && { by: by.map(({ pid, command }) => ({ pid, command })) }),
    },
  }
}

interface DriftChecksOptions<Drift> {
  /** Emits when rules are in force, or when another program may have changed them. Nothing is looked at before the first. */
  readonly asked: Observable<unknown>
  /** Compares the tables with what was put there, and repairs what differs. Undefined: there was nothing to compare with. */
  readonly check: () => Promise<readonly Drift[] | undefined>
  /** From the end of a look to the next one, at most. */
  readonly intervalMs: number
  /** From the end of a look to the next one, at least, however often it is asked for. */
  readonly minIntervalMs: number
}

/** What a look at the tables came to. */
type DriftOutcome<Drift> = {
  /** For how long what asked for it had waited, for the look before and the pause after it, in milliseconds. */
  readonly waitedMs: number
} & (
  | { readonly type: 'compared'; readonly drifts: readonly Drift[] }
  | { readonly type: 'failed'; readonly error: unknown }
)

/**
 * Looks for drift when it is asked for, and at an interval. Low priority: a look at many rules takes seconds of a processor, so that looks take at
 * most a fifth of the time on average. One may follow another at once, as where a chain is flushed right after a look that found nothing; the next one
 * then waits for what the two have used up, at most as long as the interval.
 */
export function driftChecks<Drift>(
  { asked, check, intervalMs, minIntervalMs }: DriftChecksOptions<Drift>,
  scheduler: SchedulerLike,
): Observable<DriftOutcome<Drift>> {
  return new Observable((subscriber) => {
    let askedAt: number | undefined
    /** Until when the pauses after all looks so far would last. */
    let pausedUntil = Number.NEGATIVE_INFINITY
    const pauseAfter = (startedAt: number): number => {
      const now = scheduler.now()
      const owed = Math.max(0, pausedUntil - startedAt)
      pausedUntil = now + Math.min(intervalMs, owed + PAUSE * (now - startedAt))
      return owed
    }
    const look = (): Observable<boolean> => {
      const startedAt = scheduler.now()
      const waitedMs = Math.max(0, startedAt - (askedAt ?? startedAt))
      askedAt = undefined
      return defer(check).pipe(
        tap({
          next: (drifts) => {
            if (drifts !== undefined) subscriber.next({ type: 'compared', drifts, waitedMs })
          },
          error: (error: unknown) => subscriber.next({ type: 'failed', error, waitedMs }),
        }),
        mergeMap(() => concat(of(true), timer(pauseAfter(startedAt), scheduler).pipe(ignoreElements()))),
      )
    }
    const frequency = {
      minIntervalMs,
      maxIntervalMs: intervalMs,
      retryMs: minIntervalMs,
      maxRetryMs: intervalMs,
      lastRetries: 0,
    }
    const noted = asked.pipe(tap(() => (askedAt ??= scheduler.now())))
    return noted.pipe(boundedFrequency({ ...frequency, run: look }, scheduler), ignoreElements()).subscribe(subscriber)
  })
}

const PAUSE = 4
