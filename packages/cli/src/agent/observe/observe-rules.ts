import type {
  Applied,
  AuditFinding,
  Dataplane,
  FamilyRules,
  IpFamily,
  Listening,
  MachineRules,
  PlanOptions,
  ProxyConfig,
  Seq,
  State,
} from '@pointsman/core'
import {
  BehaviorSubject,
  EMPTY,
  interval,
  merge,
  Observable,
  type SchedulerLike,
  Subject,
  startWith,
  type Subscription,
  switchMap,
  takeUntil,
  timer,
} from 'rxjs'
import { driftChecks } from '../keep-in-force.js'
import { createWallTime, type WallTime } from '../steady-time.js'
import { ACCUSED_AFTER_MS, createCommits, createSuspicions, type Damage, damageOf, findingText } from './damage.js'
import { type AuditedMaps, createPossibleStates, type PossibleStates } from './possible-states.js'

/** The rules of the machine that are observed, and what writes them. */
export interface ObservedRules {
  readonly dataplane: Dataplane
  readonly rules: MachineRules
  readonly families: readonly IpFamily[]
  /** In the mode of the data plane. */
  readonly config: ProxyConfig
  /** What the rules should rely on there, besides their family. */
  readonly machine: Omit<PlanOptions, 'family'>
}

/** What an observer knows of the rules at some moment. Times in milliseconds since 1970 UTC. */
export interface Observation {
  readonly at: number
  /** Everything up to here is in the rules, but for what is wrong; absent: no look has seen the rules of a known state. */
  readonly inForce?: Seq
  /** Changes that this look has first seen in the rules, and how long each took; none where nothing was read. */
  readonly arrived: readonly { readonly seq: Seq; readonly latencyMs: number }[]
  /**
   * The oldest change that the rules were not seen to have. `forMs`: how long it is known to have waited, which may be shorter than the
   * time since, where nothing was looked at lately. `late`: that is longer than a proxy may take.
   */
  readonly behind?: { readonly seq: Seq; readonly since: number; readonly forMs: number; readonly late: boolean }
  /** Differences that no possible state explains, and that last. */
  readonly damage?: Damage
  /** Another mode, release or proxy, or other settings than were given: what the rules are cannot be said. One sentence. */
  readonly incomparable?: string
  /** A look that was made: how long it took, and how many rules there are. Absent: none was made. */
  readonly look?: { readonly durationMs: number; readonly rules: number; readonly layout: ProxyConfig['layout'] }
  /** The rules could not be read. */
  readonly error?: unknown
}

export interface ObserveOptions {
  /** Finds the rule system that the machine uses. It is found again as long as it has no rules of a proxy. */
  readonly open: () => Promise<ObservedRules>
  /** The proxy's least interval between two syncs. */
  readonly minSyncPeriodMs: number
  /** Emits after each event: what it made of the state. Nothing is looked at before the first. */
  readonly changes: Observable<StateChange>
  /** Whether all watches are up: else the proxy may know what we do not. */
  readonly isWatching: () => boolean
  /** Measures durations: of a clock that is not set. */
  readonly scheduler: SchedulerLike
  /** What observations are dated by: milliseconds since 1970 UTC. */
  readonly clock: () => number
  readonly signal: AbortSignal
  readonly onObservation: (observation: Observation) => void
  readonly onOpened: (observed: ObservedRules) => void
  /** Never called where the rule system cannot be listened to. */
  readonly onListening: (listening: Listening) => void
}

export interface StateChange {
  readonly state: State
  readonly applied: Omit<Applied, 'diagnostics'>
}

/** From the end of a look to the next one, at least; where changes are heard of, at most; and where they are not. */
const LEAST_PAUSE_MS = 1000
const MOST_PAUSE_MS = 60_000
const DEAF_PAUSE_MS = 5000
/** What a sync may take, besides the proxy's least interval between two. */
const SYNC_ALLOWANCE_MS = 10_000
const ASSESS_MS = 1000

/**
 * Compares the rules of a machine with the states that a proxy may have brought into force, and writes nothing. Settles when
 * the signal aborts; fails where the rules cannot be opened, as `open`.
 */
export async function observeRules(options: ObserveOptions): Promise<void> {
  const { scheduler, signal, clock } = options
  const wallTime = createWallTime({ steady: () => scheduler.now(), wall: clock })
  const onObservation = (observation: Observation): void => options.onObservation(dated(observation, wallTime))
  const lateMs = options.minSyncPeriodMs + SYNC_ALLOWANCE_MS
  let observed = await options.open()
  options.onOpened(observed)
  let possible: PossibleStates | undefined
  /** From then on a difference may be accused: before, what the proxy had in force may be older, or newer, than is known. */
  let sureFrom = Number.POSITIVE_INFINITY
  let inForce: Seq | undefined
  let isLooking = false
  /** When the last look began that came to an end. */
  let lookedAt = 0
  const over = new Subject<void>()
  /** The rule system is open, or another one is. */
  const listen = new Subject<void>()
  const asked = new Subject<unknown>()
  const commits = createCommits()
  const suspicions = createSuspicions()
  const served = new Set<IpFamily>()
  let damage: Damage | undefined
  let incomparable: string | undefined
  let layout: ProxyConfig['layout'] = observed.dataplane.layouts[0]
  let isAsking: Subscription | undefined

  const told = (at: number): Omit<Observation, 'arrived'> => {
    const [first] = possible?.waiting ?? []
    // The rules are known as of the last look, and for as long as nobody was heard to change them since.
    const knownAt = commits.isQuietSince(lookedAt) ? at : lookedAt
    const forMs = Math.max(0, knownAt - (first?.at ?? knownAt))
    return {
      at,
      ...(inForce !== undefined && { inForce }),
      ...(first && { behind: { seq: first.seq, since: first.at, forMs, late: forMs > lateMs } }),
      ...(damage && { damage }),
      ...(incomparable !== undefined && { incomparable }),
    }
  }
  // Another one may be found later.
  const asObserved: Pick<Dataplane, 'ownerOfChain' | 'targetOf'> = {
    ownerOfChain: (chain, state) => observed.dataplane.ownerOfChain(chain, state),
    targetOf: (item) => observed.dataplane.targetOf(item),
  }
  const optionsOf = (family: IpFamily): PlanOptions => ({ ...observed.machine, family })
  const doubt = (at: number): void => {
    if (!options.isWatching()) sureFrom = Math.max(sureFrom, at + lateMs)
  }

  const look = async (): Promise<readonly Observation[] | undefined> => {
    if (possible === undefined) return undefined
    isLooking = true
    try {
      return [await lookAt(possible)]
    } finally {
      isLooking = false
    }
  }

  const lookAt = async (states: PossibleStates): Promise<Observation> => {
    const startedAt = scheduler.now()
    const lastCommitAt = commits.begin()
    let read = await observed.rules.read()
    if (inForce === undefined && read.every(({ rules }) => rules.count === 0)) {
      const before = observed
      observed = await options.open()
      if (before.dataplane !== observed.dataplane || before.rules.tool.name !== observed.rules.tool.name) {
        options.onOpened(observed)
        listen.next()
      }
      read = await observed.rules.read()
    }
    const { dataplane } = observed
    const [found] = read.flatMap(({ rules }) => dataplane.layoutFound?.(rules) ?? [])
    layout = found ?? dataplane.layouts[0]
    const settings = { ...observed.config, layout }
    const audit = ({ family, rules }: FamilyRules, state: AuditedMaps): readonly AuditFinding[] =>
      dataplane.audit(rules, { state, config: settings }, optionsOf(family))
    const at = scheduler.now()
    doubt(at)
    const asNewest = (one: FamilyRules): readonly AuditFinding[] => audit(one, states.newest)
    const { compared, others } = comparedFamilies(read, { dataplane, served, audit: asNewest })
    const explained = states.explain((state) => compared.flatMap((one) => audit(one, state)), at)
    // What is about no table at all is a setting, and what follows from it was left out.
    const isCause = ({ type, table }: AuditFinding): boolean =>
      table === '' && dataplane.findings[type]?.comparesNothing !== true
    const wrong = explained.unexplained.filter((finding) => !isCause(finding))
    if (wrong.length === 0) for (const { family } of compared) served.add(family)
    const causes = explained.unexplained.filter(isCause).map((finding) => findingText(finding, dataplane))
    const said = [...others, ...causes]
    incomparable = said.length === 0 ? undefined : said.join('; ')

    lookedAt = startedAt
    const by = commits.end({ isGood: wrong.length === 0 })
    const lasting = suspicions.after(wrong, { at: startedAt, sureFrom, by })
    damage = damageOf(lasting, { before: damage, dataplane })
    // What is too much in flight to be decided now is quiet soon.
    if (suspicions.size > lasting.length || explained.undecided.size > 0) again()
    if (served.size > 0 && compared.length > 0) inForce = explained.inForce
    const arrived = inForce === undefined ? [] : states.takeInForce(inForce)
    return {
      ...told(at),
      arrived: arrived.map((change) => ({
        seq: change.seq,
        latencyMs: Math.max(0, (lastCommitAt ?? startedAt) - change.at),
      })),
      look: {
        durationMs: scheduler.now() - startedAt,
        rules: read.reduce((sum, { rules }) => sum + rules.count, 0),
        layout,
      },
    }
  }

  /** A difference lasts, or it does not. */
  const again = (): void => {
    isAsking ||= timer(ACCUSED_AFTER_MS, scheduler)
      .pipe(takeUntil(over))
      .subscribe(() => {
        isAsking = undefined
        asked.next(undefined)
      })
  }

  const change = ({ state, applied }: StateChange): void => {
    const at = scheduler.now()
    if (possible === undefined) {
      possible = createPossibleStates({ dataplane: asObserved, settleMs: lateMs }, { state, at })
      sureFrom = at + lateMs
    } else possible.note(state, applied, at)
    // Where commits are heard, nothing can have changed in the rules without one.
    if (inForce === undefined) asked.next(undefined)
  }

  /** What follows from the time alone, and from what needs no look. */
  const assess = (): void => {
    if (possible === undefined || isLooking) return
    const at = scheduler.now()
    doubt(at)
    const settings = { ...observed.config, layout }
    possible.settleEqual((state) =>
      observed.families.map((family) => observed.dataplane.plan({ state, config: settings }, optionsOf(family))),
    )
    if (inForce !== undefined && possible.waiting.length === 0) inForce = possible.newest.seq
    // What is not in the rules may be none of them.
    if (possible.waiting.length > 0 && at - lookedAt >= DEAF_PAUSE_MS) asked.next(undefined)
    onObservation({ ...told(at), arrived: [] })
  }

  const running = options.changes.pipe(takeUntil(over)).subscribe(change)
  const isDeaf = new BehaviorSubject(true)
  const whileDeaf = isDeaf.pipe(switchMap((deaf) => (deaf ? interval(DEAF_PAUSE_MS, scheduler) : EMPTY)))
  const looks = driftChecks(
    {
      asked: merge(asked, whileDeaf).pipe(takeUntil(over)),
      check: look,
      intervalMs: MOST_PAUSE_MS,
      minIntervalMs: LEAST_PAUSE_MS,
    },
    scheduler,
  ).subscribe((outcome) => {
    if (outcome.type === 'compared') for (const observation of outcome.drifts) onObservation(observation)
    else if (!signal.aborted) onObservation({ ...told(scheduler.now()), arrived: [], error: outcome.error })
  })
  const assessing = interval(ASSESS_MS, scheduler).subscribe(assess)
  try {
    const watched = (): Observable<void> => {
      isDeaf.next(true)
      commits.hear(false)
      return listening(observed.rules, {
        onChange: (by) => {
          commits.add(by, scheduler.now())
          asked.next(undefined)
        },
        onError: (error) => options.onListening({ type: 'deaf', error }),
        onListening: (now) => {
          isDeaf.next(now.type === 'deaf')
          commits.hear(now.type === 'listening')
          options.onListening(now)
          asked.next(undefined)
        },
      })
    }
    const watching = listen.pipe(startWith(undefined), switchMap(watched), takeUntil(over))
    await Promise.race([
      new Promise<void>((resolve) => onAbort(signal, resolve)),
      new Promise<void>((_, reject) => watching.subscribe({ error: reject })),
    ])
  } finally {
    over.next()
    running.unsubscribe()
    looks.unsubscribe()
    assessing.unsubscribe()
  }
}

/** An observation of the scheduler's clock, in wall time. */
const dated = ({ at, behind, damage, ...rest }: Observation, { of }: WallTime): Observation => ({
  ...rest,
  at: of(at),
  ...(behind && { behind: { ...behind, since: of(behind.since) } }),
  ...(damage && { damage: { ...damage, since: of(damage.since) } }),
})

/** Hears of changes until it is unsubscribed; silent where the rule system reports none. */
const listening = (
  rules: MachineRules,
  watch: Omit<Parameters<NonNullable<MachineRules['watchChanges']>>[0], 'signal'>,
): Observable<void> =>
  new Observable((subscriber) => {
    const ended = new AbortController()
    rules
      .watchChanges?.({ ...watch, signal: ended.signal })
      .catch((error: unknown) => (ended.signal.aborted ? undefined : subscriber.error(error)))
    return () => ended.abort()
  })

const onAbort = (signal: AbortSignal, listener: () => void): void => {
  if (signal.aborted) listener()
  else signal.addEventListener('abort', listener, { once: true })
}

/** Families whose rules can be compared, and what is said of the others: of another mode, release or proxy, and never seen otherwise. */
function comparedFamilies(
  read: readonly FamilyRules[],
  {
    dataplane,
    served,
    audit,
  }: {
    readonly dataplane: Dataplane
    readonly served: ReadonlySet<IpFamily>
    readonly audit: (of: FamilyRules) => readonly AuditFinding[]
  },
): { readonly compared: readonly FamilyRules[]; readonly others: readonly string[] } {
  const compared: FamilyRules[] = []
  const others: string[] = []
  for (const one of read) {
    const whole = served.has(one.family)
      ? undefined
      : audit(one).find(({ type }) => dataplane.findings[type]?.comparesNothing === true)
    if (whole === undefined) compared.push(one)
    else others.push(findingText(whole, dataplane))
  }
  return { compared, others }
}
