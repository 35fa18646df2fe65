import { assertNever } from '../../model/assert-never.js'
import { type Backoff, backoffMs } from './backoff.js'
import { type Failure, failureOf } from './watch-failure.js'

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
  /** Watches in a row that brought nothing at all for as long as a watch may be silent. */
  readonly silent: number
  /** Unreadable lines in a row at one position. */
  readonly garbled: number
}

export type Step =
  | { readonly type: 'watch'; readonly resourceVersion: string }
  | { readonly type: 'list'; readonly way: 'stream' | 'pages'; readonly atLeast?: string; readonly because: string }
  /** Asks whether the server is as far as what is known: a watch from the future is silent. */
  | { readonly type: 'probe'; readonly resourceVersion: string }

/** How a step ended. */
export interface StepEnd {
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

export interface Patience {
  readonly backoff: Backoff
  /** A watch that is closed sooner, in milliseconds, was closed at once. */
  readonly quickMs: number
  /** A watch that lived so long, in milliseconds, makes failures before it forgotten. */
  readonly steadyMs: number
  /** A watch is silent that brings nothing for so long, in milliseconds. */
  readonly idleLimitMs: number
}

export interface NextStep {
  readonly state: KindState
  readonly waitMs: number
  /** What is wrong; absent: nothing that anybody has to hear of. */
  readonly lost?: Failure
}

/** Further answers of the same sort say no more than so many. */
const PATIENT_TRIES = 3
const SILENT_TRIES = 2

export const beginKind = (resourceVersion: string | undefined, streams: boolean): KindState => ({
  ...(resourceVersion === undefined ? { listBecause: 'FIRST' } : { resourceVersion }),
  historyReplaced: false,
  streams,
  failures: 0,
  quickCloses: 0,
  brokenStreams: 0,
  behind: 0,
  silent: 0,
  garbled: 0,
})

export function stepOf(state: KindState): Step {
  const { resourceVersion, listBecause, streams, historyReplaced } = state
  if (resourceVersion === undefined || listBecause !== undefined) {
    const floor = historyReplaced || resourceVersion === undefined ? {} : { atLeast: resourceVersion }
    return { type: 'list', way: streams ? 'stream' : 'pages', because: listBecause ?? 'FIRST', ...floor }
  }
  return { type: state.silent >= SILENT_TRIES ? 'probe' : 'watch', resourceVersion }
}

/** `random` is from 0 to 1. */
export function afterStep(before: KindState, end: StepEnd, patience: Patience, random: number): NextStep {
  const state = learnt(before, end, patience)
  const wait = (failures: number, atLeastMs?: number): number =>
    backoffMs(patience.backoff, failures, random, atLeastMs)
  const { failure } = end
  if (failure === undefined) return afterClose(state, stepOf(before), end, patience, wait)

  const failures = state.failures + 1
  const waitMs = wait(failures, failure.retryAfterMs)
  const failed = { state: { ...state, failures, quickCloses: 0 }, waitMs, lost: failure }
  switch (failure.remedy) {
    case 'retry':
      return failed
    case 'relist':
      return { ...failed, state: toList(failed.state, failure.code) }
    case 'list-in-pages':
      return { state: { ...state, streams: false }, waitMs: 0 }
    case 'wait-for-newer': {
      const behind = state.behind + 1
      const next = { ...failed.state, behind }
      if (behind < PATIENT_TRIES) return { ...failed, state: next }
      return { ...failed, state: { ...toList(next, failure.code), historyReplaced: true } }
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
function learnt(state: KindState, end: StepEnd, { steadyMs, idleLimitMs }: Patience): KindState {
  const step = stepOf(state)
  const { listBecause, resourceVersion, ...rest } = state
  const position = end.resourceVersion ?? resourceVersion
  const needsList = listBecause !== undefined && !end.listed
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
    failures: (end.livedMs ?? 0) >= steadyMs ? 0 : state.failures,
    behind: end.listed || end.heard || (step.type === 'probe' && end.failure === undefined) ? 0 : state.behind,
    silent: silentAfter(state.silent, step, end, idleLimitMs),
    garbled: moved ? 0 : state.garbled,
  }
}

function silentAfter(silent: number, step: Step, end: StepEnd, idleLimitMs: number): number {
  if (end.heard || end.listed) return 0
  if (step.type === 'probe') return end.failure === undefined ? 0 : silent
  return step.type === 'watch' && (end.livedMs ?? 0) >= idleLimitMs ? silent + 1 : silent
}

const toList = (state: KindState, because: string): KindState => ({
  ...state,
  listBecause: state.listBecause ?? because,
  silent: 0,
})
