import { Observable, type SchedulerLike, Subscription } from 'rxjs'
import { assertNever } from '../../model/language.js'
import type { ApiServer, SourceItem } from '../../ports/api-server.js'
import type { KnownOfKind } from './known-objects.js'
import { type Failure, failureOf } from './watch-failure.js'
import type { WatchedKind } from './watch-kind.js'
import type { WatchReport } from './watch-outage.js'

/**
 * What is done about one kind, one step after another: list it, watch it, and after each failure what the failure asks for.
 * Pure: `stepOf` says what comes next, `afterStep` what has been learnt from how it ended.
 */
export interface KindState {
  /** Where the next watch begins; absent: nothing is known yet. */
  readonly resourceVersion?: string
  /** Why everything has to be listed before anything is watched; absent: it need not be. */
  readonly listBecause?: string
  /** The history is not what it was: what is listed need not be as new as what is known. */
  readonly historyReplaced: boolean
  /** Whether lists may be asked for as streams. */
  readonly streams: boolean
  /** How often in a row a step failed, for the backoff. */
  readonly failures: number
  /** Watches in a row that the server closed as soon as they had begun. */
  readonly quickCloses: number
  /** Streaming lists in a row that ended before they were whole. */
  readonly brokenStreams: number
  /** Answers in a row that the server is not as far as what is known. */
  readonly behind: number
  /** Lists in a row that a server's word made necessary, with no steady watch in between. */
  readonly relists: number
  /** Whether the server's history has to be checked before the next watch: it may have been replaced while nothing was heard. */
  readonly unchecked: boolean
  /** Since when everything that is known has been listed, in milliseconds of the scheduler; absent: not by this source. */
  readonly listedAt?: number
  /** Unreadable lines in a row at one position. */
  readonly garbled: number
}

export type Step =
  | { readonly type: 'watch'; readonly resourceVersion: string }
  | { readonly type: 'list'; readonly way: 'stream' | 'pages'; readonly atLeast?: string; readonly because: string }
  /**
   * Asks whether the server's history is the one that is known: a watch from the future is silent, and one in another history
   * leaves out what it had before its beginning.
   */
  | { readonly type: 'check'; readonly resourceVersion: string }

/** How a step ended. */
export interface StepEnd {
  /** Milliseconds of the scheduler. */
  readonly at: number
  /** A list had an object in an older version than is known. */
  readonly wentBack?: boolean
  /** The position reached; absent: none beyond what was known. */
  readonly resourceVersion?: string
  /** The list that the step began with is whole. */
  readonly listed: boolean
  /** How long the answer had been open, in milliseconds; absent: there was none. */
  readonly livedMs?: number
  /** Whether anything came that could be used. */
  readonly heard: boolean
  /** Absent: it ended as it should. */
  readonly failure?: Failure
}

interface Patience {
  readonly backoff: Backoff
  /** A watch that is closed sooner, in milliseconds, was closed at once. */
  readonly quickMs: number
  /** A watch that lived so long, in milliseconds, makes failures before it forgotten. */
  readonly steadyMs: number
  /** Everything is listed again about so often, in milliseconds, to find what no watch said; Infinity: never. */
  readonly relistMs: number
}

interface NextStep {
  readonly state: KindState
  readonly waitMs: number
  /** What is wrong; absent: nothing that anybody has to hear of. */
  readonly lost?: Failure
}

/** Further answers of the same sort say no more than so many. */
const PATIENT_TRIES = 3

export const beginKind = (resourceVersion: string | undefined, streams: boolean): KindState => ({
  ...(resourceVersion === undefined ? { listBecause: 'FIRST' } : { resourceVersion }),
  historyReplaced: false,
  streams,
  failures: 0,
  quickCloses: 0,
  brokenStreams: 0,
  behind: 0,
  relists: 0,
  unchecked: resourceVersion !== undefined,
  garbled: 0,
})

export function stepOf(state: KindState): Step {
  const { resourceVersion, listBecause, streams, historyReplaced } = state
  if (resourceVersion === undefined || listBecause !== undefined) {
    const floor = historyReplaced || resourceVersion === undefined ? {} : { atLeast: resourceVersion }
    return { type: 'list', way: streams ? 'stream' : 'pages', because: listBecause ?? 'FIRST', ...floor }
  }
  return { type: state.unchecked ? 'check' : 'watch', resourceVersion }
}

/** `random` is from 0 to 1. */
export function afterStep(before: KindState, end: StepEnd, patience: Patience, random: number): NextStep {
  const state = learnt(before, end, patience)
  const wait = (failures: number, atLeastMs?: number): number =>
    backoffMs(patience.backoff, failures, random, atLeastMs)
  const { failure } = end
  if (failure === undefined) {
    // The list that found it took the rest for known where uid and version are.
    if (end.wentBack === true && !before.historyReplaced)
      return { state: { ...toList(state, 'RESTORED'), historyReplaced: true }, waitMs: 0 }
    return relisted(afterClose(state, stepOf(before), end, patience, wait), end, patience, random)
  }

  const failures = state.failures + 1
  const waitMs = wait(failures, failure.retryAfterMs)
  const failed = { state: { ...state, failures, quickCloses: 0, unchecked: true }, waitMs, lost: failure }
  switch (failure.remedy) {
    case 'retry':
      return failed
    case 'relist':
    case 'relist-all': {
      const relists = state.relists + 1
      const next = { ...toList({ ...failed.state, relists }, failure.code), ...answered(relists) }
      const historyReplaced = next.historyReplaced || failure.remedy === 'relist-all'
      return { state: { ...next, historyReplaced }, waitMs: wait(relists, failure.retryAfterMs), lost: failure }
    }
    case 'list-in-pages':
      return { state: { ...state, streams: false }, waitMs: 0 }
    case 'wait-for-newer': {
      const behind = state.behind + 1
      const next = { ...failed.state, behind, ...answered(behind) }
      const waited = { waitMs: wait(behind, failure.retryAfterMs), lost: failure }
      if (behind < PATIENT_TRIES) return { state: next, ...waited }
      return { state: { ...toList(next, failure.code), historyReplaced: true }, ...waited }
    }
    case 'retry-then-relist': {
      const garbled = state.garbled + 1
      const next = { ...failed.state, garbled }
      return { ...failed, state: garbled < PATIENT_TRIES ? next : { ...toList(next, failure.code), garbled: 0 } }
    }
    default:
      return assertNever(failure.remedy)
  }
}

/** The server answers: what it was away for before is no reason to wait any longer, only how often it has said the same is. */
const answered = (times: number): Pick<KindState, 'failures'> => ({ failures: times })

/** A watch that was closed as it should gives way to a list, where the last one is long ago. */
function relisted(next: NextStep, { at }: StepEnd, { relistMs }: Patience, random: number): NextStep {
  const { listedAt = at } = next.state
  // From three quarters of the time to five: nodes that began together do not list together.
  return at - listedAt < relistMs * (0.75 + random / 2) ? next : { ...next, state: toList(next.state, 'PERIODIC') }
}

type Wait = (failures: number) => number

/** A watch that was closed is watched again at once, unless that is all that happens. */
function afterClose(state: KindState, step: Step, end: StepEnd, { quickMs }: Patience, wait: Wait): NextStep {
  const isWatch = step.type === 'watch' || (step.type === 'list' && step.way === 'stream')
  if (!isWatch) return { state, waitMs: 0 }
  if ((end.livedMs ?? 0) >= quickMs) return { state: { ...state, quickCloses: 0 }, waitMs: 0 }
  const quickCloses = state.quickCloses + 1
  const waitMs = quickCloses === 1 ? 0 : wait(quickCloses - 1)
  return { state: { ...state, quickCloses }, waitMs, ...(quickCloses > 1 && { lost: failureOf('CLOSED_AT_ONCE') }) }
}

/** The state with what the step brought. */
function learnt(state: KindState, end: StepEnd, { steadyMs, quickMs, backoff }: Patience): KindState {
  const step = stepOf(state)
  const { listBecause, resourceVersion, ...rest } = state
  const position = end.resourceVersion ?? resourceVersion
  const needsList = listBecause !== undefined && !end.listed
  const livedMs = end.livedMs ?? 0
  const isChecked = step.type === 'check' && end.failure === undefined
  const moved = end.resourceVersion !== undefined && end.resourceVersion !== resourceVersion
  const isBroken = step.type === 'list' && step.way === 'stream' && !end.listed && end.livedMs !== undefined
  const brokenStreams = isBroken ? state.brokenStreams + 1 : end.listed ? 0 : state.brokenStreams
  return {
    ...rest,
    ...(position !== undefined && { resourceVersion: position }),
    ...(needsList && { listBecause }),
    historyReplaced: state.historyReplaced && !end.listed,
    // Whatever is wrong with it, a list that never ends as a stream may still be had in pages.
    streams: state.streams && brokenStreams < PATIENT_TRIES,
    brokenStreams,
    failures: failuresAfter(state.failures, livedMs, { steadyMs, quickMs, backoff }),
    relists: livedMs >= steadyMs ? 0 : state.relists,
    listedAt: end.listed ? end.at : (state.listedAt ?? end.at),
    behind: end.listed || end.heard || isChecked ? 0 : state.behind,
    // A list in pages is followed by its watch. Between two watches a server may have been another.
    unchecked:
      step.type === 'watch' ||
      (step.type === 'list' && step.way === 'stream') ||
      (state.unchecked && !isChecked && !end.listed),
    garbled: moved ? 0 : state.garbled,
  }
}

/**
 * A steady watch makes failures before it forgotten. One that was cut sooner, again and again, is waited for no longer than a
 * quarter of the time that it lived, so that changes are heard most of the time.
 */
function failuresAfter(
  failures: number,
  livedMs: number,
  { steadyMs, quickMs, backoff }: Pick<Patience, 'steadyMs' | 'quickMs' | 'backoff'>,
): number {
  if (livedMs >= steadyMs) return 0
  if (livedMs < quickMs) return failures
  return Math.min(failures, Math.max(0, Math.floor(Math.log2(livedMs / 4 / backoff.baseMs))))
}

const toList = (state: KindState, because: string): KindState => ({
  ...state,
  listBecause: state.listBecause ?? because,
})

interface Backoff {
  /** What the first pause is at most, in milliseconds; it doubles with each failure. */
  readonly baseMs: number
  /** What no pause is longer than. */
  readonly capMs: number
}

/**
 * How long to wait after so many failures in a row (from 1), in milliseconds: anything up to a bound that doubles, so that many
 * nodes do not come back together ("full jitter"), yet never nothing. A server's own word comes before it: at least so long, and
 * the jitter on top.
 */
export function backoffMs({ baseMs, capMs }: Backoff, failures: number, random: number, atLeastMs = 0): number {
  const bound = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30))
  return atLeastMs + Math.max(LEAST_MS, Math.round(bound * random))
}

const LEAST_MS = 50

/** What a step gives: items, and at last how it ended. */
export type StepPart = SourceItem | { readonly type: 'step-ended'; readonly end: StepEnd }

export const stepEnded = (end: StepEnd): StepPart => ({ type: 'step-ended', end })

/** What a step ends with: the state that the next one begins with, and the pause before it. */
export interface Next<State> {
  readonly type: 'next'
  readonly state: State
  readonly waitMs: number
}

/**
 * Runs one step after another, with pauses, for as long as it is subscribed: each step's last value is its `Next`. Other values
 * pass. A step that completes without a `Next` ends it all; so does one that fails. One step runs at a time, and however many
 * have run, none of them is held on to.
 */
export function stepByStep<State, Item extends { readonly type: string }>(
  first: State,
  run: (state: State) => Observable<Item | Next<State>>,
  scheduler: SchedulerLike,
): Observable<Item> {
  return new Observable<Item>((subscriber) => {
    let current = new Subscription()
    const isNext = (value: Item | Next<State>): value is Next<State> => value.type === 'next'

    const start = (state: State): void => {
      let next: Next<State> | undefined
      current = run(state).subscribe({
        next: (value) => {
          if (isNext(value)) next = value
          else subscriber.next(value)
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (next === undefined) subscriber.complete()
          else pause(next)
        },
      })
      if (subscriber.closed) current.unsubscribe()
    }

    const pause = ({ state, waitMs }: Next<State>): void => {
      if (subscriber.closed) return
      current = scheduler.schedule(() => start(state), waitMs)
    }

    start(first)
    return () => current.unsubscribe()
  })
}

/** What the steps of one kind share. */
export interface KindContext {
  readonly api: ApiServer
  readonly watched: WatchedKind
  readonly known: KnownOfKind
  readonly report: WatchReport
  readonly scheduler: SchedulerLike
  readonly random: () => number
  readonly limits: Limits
}

export interface Limits extends Patience {
  /** A watch is silent that brings nothing for so long, in milliseconds. */
  readonly idleLimitMs: number
  readonly pageSize: number
  readonly maxLineBytes: number
  readonly maxPageBytes: number
  /** A list that streams brings an object, or its end, at least so often, in milliseconds: bytes alone do not count. */
  readonly listIdleMs: number
  /** A page is whole within this time, in milliseconds. */
  readonly pageMs: number
  /** A list is whole within this time, in milliseconds. A server's own history, and so its tokens, is shorter. */
  readonly listMs: number
  /** Objects of a kind that are listed, or known. */
  readonly maxObjects: number
}
