import { codeOf, messageOf } from '../model/language.js'
import {
  asyncScheduler,
  BehaviorSubject,
  Observable,
  type OperatorFunction,
  type SchedulerLike,
  Subscription,
} from 'rxjs'
import { type LogEntry, seq, type Seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import type { AppendOutcome, ChangeLogWriter } from '../ports/change-log.js'

/** How the log is. Whatever it is, events go on to the rules (invariant 10). */
export type LogHealth =
  | { readonly type: 'ok' }
  /** The log takes longer than it may, or refuses: what happens is kept in memory and written when it can be. */
  | {
      readonly type: 'degraded'
      readonly code: string
      readonly message: string
      /** Milliseconds since 1970 UTC. */
      readonly since: number
      /** Entries that are not in the log. */
      readonly unwritten: number
      /** Entries given up, for lack of memory (a later version of each object is kept) or because the log refuses them. */
      readonly lost: number
      readonly cause?: unknown
    }

/** What became of an entry. */
export type RecordOutcome =
  | { readonly type: 'recorded'; readonly seq: Seq; readonly durable: boolean }
  /** The log has this very event. */
  | { readonly type: 'duplicate'; readonly seq: Seq }

const SLOW = 'LOG_SLOW'

/** Numbers what happens, writes it to the log in that order, and says when each entry may have its effect. */
export interface Recorder {
  /** `done` is called once, in the order of the calls: when the entry is durable, or when the log cannot be waited for. */
  put(entry: LogEntry, done?: (outcome: RecordOutcome) => void): void
  readonly health$: Observable<LogHealth>
  /** The write under way; undefined when nothing is waited for. */
  settled(): Promise<void> | undefined
  /** Writes what is left, trying once more if the log was degraded. */
  close(): Promise<void>
}

export interface RecorderOptions {
  readonly log: ChangeLogWriter
  /** The last record that the state has. What the log holds after it has had no effect yet. Default: the log's head. */
  readonly stateHead?: Seq
  readonly scheduler?: SchedulerLike
  /** An append that takes longer is no longer waited for; absent: each is. */
  readonly patienceMs?: number
  /** A log that cannot be written is tried again so often. */
  readonly retryMs?: number
  /** So many unwritten entries are kept before older versions of an object give way to the newest. */
  readonly unwrittenLimit?: number
  readonly maxBatch?: number
}

interface Trouble {
  readonly code: string
  readonly message: string
  readonly cause?: unknown
}

interface Queued {
  entry: LogEntry & { readonly seq: Seq }
  /** Undefined once it was called. */
  done: ((outcome: RecordOutcome) => void) | undefined
}

export function createRecorder({
  log,
  stateHead = log.head,
  scheduler = asyncScheduler,
  patienceMs,
  retryMs = 5000,
  unwrittenLimit = 100_000,
  maxBatch = 1000,
}: RecorderOptions): Recorder {
  const numberedFrom = log.head
  let lastSeq: number = numberedFrom
  let lastObservedAt = log.lastObservedAt
  let queue: Queued[] = []
  let underWay: Promise<void> | undefined
  let degraded:
    | { code: string; message: string; since: number; firstSeq: Seq; lastSeq: Seq; lost: number; cause?: unknown }
    | undefined
  let compactAt = unwrittenLimit
  let closing = false
  /** The log is not ours to write: another cluster's, or another time's. */
  let refused = false
  /** Until the log is open, entries are numbered as if it held what the state has, and nothing more. */
  let placed: Placed | undefined
  const timers = new Subscription()
  const health$ = new BehaviorSubject<LogHealth>({ type: 'ok' })

  const publish = (): void => {
    if (degraded === undefined) return health$.next({ type: 'ok' })
    const { code, message, since, lost, cause } = degraded
    health$.next({ type: 'degraded', code, message, since, unwritten: queue.length, lost, cause })
  }

  /** Lets entries take effect that the log does not hold yet. */
  const release = (entries: readonly Queued[]): void => {
    for (const queued of entries) {
      if (queued.done === undefined) continue
      if (degraded !== undefined) degraded.lastSeq = queued.entry.seq
      finish(queued, { type: 'recorded', seq: queued.entry.seq, durable: false })
    }
  }

  const boundMemory = (): void => {
    if (degraded === undefined || queue.length < compactAt) return
    const kept = coalesceUnwritten(queue, ({ entry }) => entry)
    degraded.lost += queue.length - kept.length
    queue = kept
    compactAt = Math.max(unwrittenLimit, kept.length * 2)
  }

  const degrade = ({ code, message, cause }: Trouble, batch: readonly Queued[]): void => {
    const first = (batch[0] ?? queue[0])?.entry.seq ?? seq(lastSeq)
    degraded ??= { code, message, since: scheduler.now(), firstSeq: first, lastSeq: first, lost: 0, cause }
    // That an append takes long is all that is known until it fails: then the failure is the cause.
    if (degraded.code === SLOW && code !== SLOW) degraded = { ...degraded, code, message, cause }
    release([...batch, ...queue])
    boundMemory()
    publish()
  }

  const giveUp = (trouble: Trouble): void => {
    refused = true
    degrade(trouble, [])
    queue = []
    publish()
  }

  /** Once the log is open. What was numbered before gets numbers and times after all that it holds. */
  const place = (entries: readonly Queued[]): Placed => {
    const found = placeAfter(log.head, { stateHead, numberedFrom, lastSeq })
    lastSeq = found.seqOf(seq(lastSeq))
    let at = log.lastObservedAt
    for (const queued of entries) {
      queued.entry = monotone({ ...queued.entry, seq: found.seqOf(queued.entry.seq) }, at)
      at = observedAtOf(queued.entry)
    }
    lastObservedAt = Math.max(lastObservedAt, at)
    placed = found
    if (found.unread !== undefined) put(unreadNotice(found.unread, scheduler.now()))
    return found
  }

  const recovered = (): void => {
    if (degraded === undefined) return
    const { code, since, lost } = degraded
    const seqOf = (given: Seq): Seq => placed?.seqOf(given) ?? given
    const [firstSeq, gapEnd] = [seqOf(degraded.firstSeq), seqOf(degraded.lastSeq)]
    degraded = undefined
    compactAt = unwrittenLimit
    publish()
    put({
      type: 'notice',
      observedAt: scheduler.now(),
      code: 'LOG_GAP',
      message: `the log was not writable (${code}): records ${firstSeq} to ${gapEnd} took effect before they were durable; ${lost} of them are lost`,
      details: { cause: code, since: new Date(since).toISOString(), fromSeq: firstSeq, toSeq: gapEnd, lost },
    })
  }

  const afterPatience = (work: () => void): Subscription | undefined =>
    patienceMs === undefined ? undefined : scheduler.schedule(work, patienceMs)

  const write = async (batch: readonly Queued[]): Promise<void> => {
    const patience = afterPatience(() => {
      degrade({ code: SLOW, message: `an append took more than ${patienceMs} ms` }, batch)
    })
    try {
      if (placed === undefined) await log.opened?.()
      const inLog = placed ?? place([...batch, ...queue])
      const kept = batch.filter(({ entry }) => inLog.keeps(entry))
      const outcomes = await log.append(kept.map(({ entry }) => inLog.entryOf(entry)))
      let at = 0
      for (const queued of batch) {
        const outcome = inLog.keeps(queued.entry) ? outcomes[at++] : undefined
        finish(queued, recordOutcome(queued.entry.seq, inLog.outcomeOf(outcome)))
      }
      const refusal = outcomes.find((outcome) => outcome.type === 'refused')
      if (refusal !== undefined) giveUp(refusal)
      else if (queue.length === 0) recovered()
    } catch (error) {
      queue = [...batch, ...queue]
      const message = messageOf(error)
      degrade({ code: codeOf(error, 'LOG_FAILED'), message, cause: error }, [])
      if (!closing) timers.add(scheduler.schedule(pump, retryMs))
      throw error
    } finally {
      patience?.unsubscribe()
    }
  }

  const pump = (): void => {
    if (underWay !== undefined || queue.length === 0) return
    const batch = queue.slice(0, maxBatch)
    queue = queue.slice(maxBatch)
    underWay = write(batch).then(
      () => {
        underWay = undefined
        pump()
      },
      () => {
        underWay = undefined
      },
    )
  }

  const put = (entry: LogEntry, done?: (outcome: RecordOutcome) => void): void => {
    const numbered = monotone({ ...entry, seq: seq(++lastSeq) }, lastObservedAt)
    lastObservedAt = observedAtOf(numbered)
    const queued: Queued = { entry: numbered, done }
    if (!refused) queue.push(queued)
    if (degraded === undefined) return pump()
    release([queued])
    if (refused) degraded.lost++
    boundMemory()
    publish()
  }

  return {
    put,
    health$,
    settled: () => (degraded === undefined ? underWay : undefined),
    async close() {
      closing = true
      timers.unsubscribe()
      await underWay
      while (queue.length > 0) {
        const before = queue.length
        pump()
        await underWay
        if (queue.length >= before) break
      }
      health$.complete()
    },
  }
}

/** How what the recorder numbers comes to be in a log. */
interface Placed {
  /** Records of the log that the state was not made from, as the log could not be read when it began. */
  readonly unread: { readonly fromSeq: Seq; readonly toSeq: Seq } | undefined
  /** The place in the log of what had this number before the log was open; later numbers are places. */
  readonly seqOf: (given: Seq) => Seq
  /** What the log is to hold of an entry, which names its records by their places. */
  readonly entryOf: (entry: Queued['entry']) => Queued['entry']
  readonly keeps: (entry: LogEntry) => boolean
  /** An event that the log had, and the state had not, has its effect. */
  readonly outcomeOf: (outcome: AppendOutcome | undefined) => AppendOutcome | undefined
}

/**
 * Numbers before the log was open are `numberedFrom` + 1 to `lastSeq`. Where the log has come further they all move, behind what it holds and
 * behind themselves, so that no number has two meanings.
 *
 * The objects of unread records are in no state, and no list finds them gone. So the next start must not go on from a list
 * or bookmark of this run, but from the place where the log was left: its lists are marked, and its bookmarks left out.
 */
function placeAfter(
  head: Seq,
  {
    stateHead,
    numberedFrom,
    lastSeq,
  }: { readonly stateHead: Seq; readonly numberedFrom: Seq; readonly lastSeq: number },
): Placed {
  const by = head > numberedFrom ? Math.max(head, lastSeq) - numberedFrom : 0
  const unread = head > stateHead ? { fromSeq: seq(stateHead + 1), toSeq: head } : undefined
  const seqOf = (given: Seq): Seq => (given > numberedFrom && given <= lastSeq ? seq(given + by) : given)
  return {
    unread,
    seqOf,
    entryOf(entry) {
      if (entry.type === 'sync') return { ...entry, fromSeq: seqOf(entry.fromSeq), toSeq: seqOf(entry.toSeq) }
      if (unread === undefined || entry.type !== 'notice' || !LISTED.has(entry.code)) return entry
      return { ...entry, details: { ...entry.details, unread: true } }
    },
    keeps: (entry) => unread === undefined || entry.type !== 'event' || entry.event.type !== 'BOOKMARK',
    outcomeOf: (outcome) =>
      unread !== undefined && outcome?.type === 'duplicate' && outcome.seq >= unread.fromSeq && outcome.seq <= head
        ? { type: 'appended', seq: outcome.seq }
        : outcome,
  }
}

const LISTED: ReadonlySet<string> = new Set(['LIST', 'RELIST'])

const unreadNotice = (
  { fromSeq, toSeq }: { readonly fromSeq: Seq; readonly toSeq: Seq },
  observedAt: number,
): LogEntry => ({
  type: 'notice',
  observedAt,
  code: 'LOG_UNREAD',
  message: `the log could not be read when the agent started: what follows was not made from records ${fromSeq} to ${toSeq}; the next start compares both`,
  details: { fromSeq, toSeq },
})

function finish(queued: Queued, outcome: RecordOutcome): void {
  const { done } = queued
  queued.done = undefined
  done?.(outcome)
}

function recordOutcome(numbered: Seq, outcome: AppendOutcome | undefined): RecordOutcome {
  return outcome?.type === 'duplicate'
    ? { type: 'duplicate', seq: outcome.seq }
    : { type: 'recorded', seq: numbered, durable: outcome?.type === 'appended' }
}

const observedAtOf = (entry: LogEntry): number => (entry.type === 'event' ? entry.event.observedAt : entry.observedAt)

/** A clock that steps back must not make the log refuse what happens: time stands still until it has caught up. */
function monotone<Entry extends LogEntry>(entry: Entry, lastObservedAt: number): Entry {
  if (observedAtOf(entry) >= lastObservedAt) return entry
  return entry.type === 'event'
    ? { ...entry, event: { ...entry.event, observedAt: lastObservedAt } }
    : { ...entry, observedAt: lastObservedAt }
}

/** A watch event with its place in the log. */
export interface Recorded {
  readonly seq: Seq
  readonly event: WatchEvent
}

/**
 * Lets an event pass when it is durable, or when the log cannot be waited for. What the log has already does not pass:
 * a watch that is resumed repeats itself.
 */
export function record(recorder: Recorder): OperatorFunction<WatchEvent, Recorded> {
  return (source) =>
    new Observable<Recorded>((subscriber) => {
      let waiting = 0
      let completed = false
      return source.subscribe({
        next: (event) => {
          waiting++
          recorder.put({ type: 'event', event }, (outcome) => {
            waiting--
            if (outcome.type === 'recorded') subscriber.next({ seq: outcome.seq, event })
            if (completed && waiting === 0) subscriber.complete()
          })
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          completed = true
          if (waiting === 0) subscriber.complete()
        },
      })
    })
}

/**
 * Of the events of one object keeps the newest, of bookmarks the newest of a kind, of syncs the newest; everything else
 * stays. What a log needs to be right again once it can be written, in memory bounded by the objects there are.
 */
function coalesceUnwritten<Item>(items: readonly Item[], entryOf: (item: Item) => LogEntry): Item[] {
  const newest = new Map<string, number>()
  items.forEach((item, i) => {
    const key = keyOf(entryOf(item))
    if (key !== undefined) newest.set(key, i)
  })
  return items.filter((item, i) => (newest.get(keyOf(entryOf(item)) ?? '') ?? i) === i)
}

function keyOf(entry: LogEntry): string | undefined {
  if (entry.type === 'sync') return `sync ${entry.backend}`
  if (entry.type !== 'event') return undefined
  if (entry.event.type === 'BOOKMARK') return `bookmark ${entry.event.kind} ${String(entry.event.initialEventsEnd)}`
  const { kind, metadata } = entry.event.object
  return `object ${kind} ${metadata.namespace ?? ''}/${metadata.name} ${typeof metadata['uid'] === 'string' ? metadata['uid'] : ''}`
}
