import { setTimeout } from 'node:timers/promises'
import type { IpFamily } from '../model/address.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import { frontKey, type Front, type State } from '../state/state.js'
import {
  abandonable,
  ConntrackError,
  groupOf,
  isStale,
  servedFrontsOf,
  servesAlike,
  type Flow,
  type FlowGroup,
  type FlowRules,
  type FlowTable,
  type ListedGroup,
  type ServedFronts,
} from './stale-flows.js'

/** What is reported after each attempt. */
export type ConntrackReport =
  | ({ readonly type: 'reconciled' } & ConntrackCounts)
  | ({
      readonly type: 'failed'
      readonly error: ConntrackError
      /** Absent: not before the next sync. */
      readonly retryInMs?: number
    } & ConntrackCounts)

/** All families together. */
interface ConntrackCounts {
  /** UDP flows that were looked at, and of these how many were deleted. */
  readonly listed: number
  readonly deleted: number
  /** Deletions that were left for the time after the sync that waited. */
  readonly left: number
  readonly durationMs: number
  /** What each family had of it; absent: not told apart. */
  readonly families?: readonly FamilyFlows[]
}

export interface FamilyFlows {
  readonly family: IpFamily
  readonly deleted: number
  readonly durationMs: number
}

/**
 * Where a backend calls: around each sync that writes rules. What it does never makes a sync fail, and never delays one
 * that was successful. The next sync waits for it, because it judges flows by the rules that are in force, but not for
 * long: what is left then is done after that sync. A sync that fails has no `afterSync`: the next one that succeeds has.
 */
export interface ConntrackHook {
  /** Before rules change. Gives up a retry that was to come, and waits for what is under way: about a second. */
  readonly beforeSync: () => Promise<void>
  /**
   * After a sync was successful: begins, and returns at once. `state` is read before it returns. Fronts that are gone
   * since the last call are known.
   */
  readonly afterSync: (state: State) => void
  /** Ends what is under way. */
  readonly close: () => Promise<void>
}

export interface ConntrackHookOptions {
  readonly flows: FlowTable
  readonly config: ProxyConfig
  /** Families whose rules are synced. Default: those of the configuration. */
  readonly families?: readonly IpFamily[] | undefined
  /** What the node's interfaces have, asked after each sync. Default: the addresses of the Node object, and loopback. */
  readonly nodeAddresses?: (() => readonly string[] | undefined) | undefined
  /**
   * UDP fronts that there were before the start, as a log knows (`udpFrontsOf`): what was removed while nobody was there,
   * or before its flows could be deleted. Looked for after the first sync, and until that is done.
   */
  readonly formerFronts?: (() => readonly Front[]) | undefined
  readonly onReport?: ((report: ConntrackReport) => void) | undefined
  /** The pause before the first retry, doubled each time up to the configuration's syncPeriodMs. Default: 1 second. */
  readonly retryMs?: number | undefined
  /** How long a sync waits, before no further deletion is begun. Default: 1 second. */
  readonly patienceMs?: number | undefined
  /**
   * How much longer it then waits for a listing or deletion that is under way, before it is given up as hanging. After that, and
   * until an attempt succeeds, no longer at all. Default: 4 seconds.
   */
  readonly hangMs?: number | undefined
  /** Waits, and ends early when the signal is given; never fails. */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined
  /** A clock in milliseconds that never goes back. */
  readonly now?: (() => number) | undefined
}

export function createConntrackHook(options: ConntrackHookOptions): ConntrackHook {
  const { config, flows, families = config.families, nodeAddresses, onReport } = options
  const { retryMs = 1000, patienceMs = 1000, hangMs = 4000 } = options
  const { sleep = pause, now = () => performance.now() } = options
  const table = abandonable(flows)
  const reconcilers = families.map((family) => ({ family, ...createConntrackReconciler({ flows: table, now }) }))
  const closing = new AbortController()
  let underWay: UnderWay | undefined
  let toldMissing = false
  /** The last attempt that anything is known of was given up as hanging. */
  let isHanging = false
  /** Asked for when the first sync has succeeded. */
  let former = options.formerFronts ?? (() => [])

  const reconcileAll = async (
    tasks: readonly Task[],
    signal: AbortSignal,
  ): Promise<Reconciliation & { readonly families: readonly FamilyFlows[] }> => {
    const results: Reconciliation[] = []
    const each: FamilyFlows[] = []
    for (const { family, run } of tasks) {
      const startedAt = now()
      const result = await run(signal)
      results.push(result)
      each.push({ family, deleted: result.deleted, durationMs: now() - startedAt })
    }
    return { ...sumOf(results), families: each }
  }

  const tell = (report: ConntrackReport): void => {
    const isMissing = report.type === 'failed' && report.error.code === 'NOT_FOUND'
    if (!(isMissing && toldMissing)) onReport?.(report)
    toldMissing = isMissing
  }

  const reconcileUntilDone = async (tasks: readonly Task[], current: UnderWay): Promise<void> => {
    const giveUp = current.giveUp.signal
    const signal = AbortSignal.any([closing.signal, current.hanging.signal])
    for (let pauseMs = retryMs; ; pauseMs = Math.min(2 * pauseMs, config.syncPeriodMs)) {
      const startedAt = now()
      current.startedAt = startedAt
      const { failure: found, ...counts } = await reconcileAll(tasks, signal)
      const done = { ...counts, durationMs: now() - startedAt }
      if (closing.signal.aborted) return
      isHanging = current.hanging.signal.aborted && found !== undefined
      const failure = isHanging && found?.code === 'ABORTED' ? new ConntrackError('TIMED_OUT', found) : found
      if (failure === undefined) return tell({ type: 'reconciled', ...done })
      // A program that is lacking is asked for again at the next sync.
      const retries = failure.code !== 'NOT_FOUND' && !giveUp.aborted
      tell({ type: 'failed', error: failure, ...done, ...(retries && { retryInMs: pauseMs }) })
      if (!retries || !(await isToContinueAfter(pauseMs, giveUp))) return
    }
  }

  const isToContinueAfter = async (pauseMs: number, giveUp: AbortSignal): Promise<boolean> => {
    await sleep(pauseMs, giveUp)
    return !giveUp.aborted
  }

  const settle = async (): Promise<void> => {
    if (underWay === undefined) return
    const { giveUp, ended } = underWay
    giveUp.abort()
    const isOver = new AbortController()
    void losePatience(underWay, isOver.signal)
    await ended
    isOver.abort()
  }

  const losePatience = async ({ stop, hanging, startedAt }: UnderWay, isOver: AbortSignal): Promise<void> => {
    await sleep(isHanging ? Math.max(0, patienceMs - (now() - startedAt)) : patienceMs, isOver)
    stop.abort()
    if (!isHanging) await sleep(hangMs, isOver)
    if (!isOver.aborted) hanging.abort()
  }

  return {
    beforeSync: settle,

    afterSync(state) {
      const removedFronts = former()
      former = () => []
      const [giveUp, stop, hanging] = [new AbortController(), new AbortController(), new AbortController()]
      const interfaces = nodeAddresses?.()
      const tasks = reconcilers.map(({ family, reconcile }): Task => {
        const served = servedFrontsOf({ state, config, family, nodeAddresses: interfaces })
        return { family, run: (signal) => reconcile({ served, removedFronts, yieldTo: stop.signal }, signal) }
      })
      const before = settle()
      const current: UnderWay = { giveUp, stop, hanging, startedAt: now(), ended: before }
      current.ended = before.then(() => reconcileUntilDone(tasks, current))
      underWay = current
    },

    async close() {
      closing.abort()
      await settle()
    },
  }
}

interface Task {
  readonly family: IpFamily
  readonly run: (signal: AbortSignal) => Promise<Reconciliation>
}

interface UnderWay {
  /** No further attempt. */
  readonly giveUp: AbortController
  /** No further deletion. */
  readonly stop: AbortController
  /** What is under way does not come to its end. */
  readonly hanging: AbortController
  /** Of the present attempt, by the clock of the options. */
  startedAt: number
  ended: Promise<void>
}

function sumOf(results: readonly Reconciliation[]): Reconciliation {
  const failure = results.find((result) => result.failure !== undefined)?.failure
  return {
    listed: results.reduce((sum, { listed }) => sum + listed, 0),
    deleted: results.reduce((sum, { deleted }) => sum + deleted, 0),
    left: results.reduce((sum, { left }) => sum + left, 0),
    ...(failure && { failure }),
  }
}

const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined)
}

interface ReconcileRequest {
  readonly served: ServedFronts
  /** Fronts that are known to have been there before: from a log, at start. Those that are there now do no harm. */
  readonly removedFronts?: readonly Front[] | undefined
  /** Once it is aborted, no further deletion begins, but for a first one: each call gets on. */
  readonly yieldTo?: AbortSignal | undefined
}

export interface Reconciliation {
  /** UDP flows that were looked at. */
  readonly listed: number
  readonly deleted: number
  /** Deletions that were not begun, because others had to go on. */
  readonly left: number
  /** The first thing that went wrong; there may be flows left that have to go. */
  readonly failure?: ConntrackError
}

/** Brings the kernel's UDP flows of one family in step with the rules. Calls must not overlap. */
export interface ConntrackReconciler {
  /**
   * Lists the flows and deletes those whose target no longer serves: by level, whatever happened before. What was a
   * front in the last two calls that did all of it, or since, counts as removed when it is none now, so that a failure is
   * made up for by the next call. Nothing is listed where that cannot find anything: without UDP fronts, and
   * for a minute after two calls with the same fronts and targets, the second of which had nothing to delete. (The first
   * can miss a packet that was on its way past the old rules.) Fails with nothing but a bug.
   */
  readonly reconcile: (request: ReconcileRequest, signal?: AbortSignal) => Promise<Reconciliation>
}

interface ReconcilerOptions {
  readonly flows: FlowTable
  /** Commands at a time. Default: 2. */
  readonly concurrency?: number | undefined
  /** A clock in milliseconds that never goes back. */
  readonly now?: (() => number) | undefined
}

const QUIET_MS = 60_000

export function createConntrackReconciler(options: ReconcilerOptions): ConntrackReconciler {
  const { flows, concurrency = 2, now = () => performance.now() } = options
  /** `frontKey`s: fronts of the last two successes, and of everything since. */
  let [older, newer]: readonly [ReadonlySet<string>, ReadonlySet<string>] = [new Set(), new Set()]
  /** What the last call judged by, and until when a call that judges alike would find nothing. */
  let last: { readonly served: ServedFronts; readonly quietUntil: number } | undefined

  const listStale = async (rules: FlowRules, signal: AbortSignal | undefined): Promise<StaleFlows> => {
    const { served, formerFronts } = rules
    const groups = new Map<string, FlowGroup & { readonly flows: Flow[] }>()
    let listed = 0
    // Without any UDP front, now or before, the kernel need not be asked.
    if (served.targets.size === 0 && formerFronts.size === 0) return { listed, groups: [] }
    const look = (flow: Flow): void => {
      listed++
      if (!isStale(flow, rules)) return
      const group = groupOf(flow)
      const key = Object.values(group).join(' ')
      const known = groups.get(key)
      if (known === undefined) groups.set(key, { ...group, flows: [flow] })
      else known.flows.push(flow)
    }
    await flows.listFlows({ family: served.family, protocol: 'udp' }, look, signal)
    return { listed, groups: [...groups.values()] }
  }

  const deleteStale = async (
    { listed, groups }: StaleFlows,
    { yieldTo, signal }: { readonly yieldTo: AbortSignal | undefined; readonly signal: AbortSignal | undefined },
  ): Promise<Reconciliation> => {
    const waiting = [...groups]
    const next = (): ListedGroup | undefined =>
      yieldTo?.aborted === true && waiting.length < groups.length ? undefined : waiting.shift()
    let deleted = 0
    let failure: ConntrackError | undefined
    const work = async (): Promise<void> => {
      for (let group = next(); group !== undefined; group = next()) {
        const result = await settled(flows.deleteFlows(group, signal))
        if (result instanceof ConntrackError) failure ??= result
        else deleted += result
      }
    }
    await Promise.all(Array.from({ length: concurrency }, work))
    return { listed, deleted, left: waiting.length, ...(failure && { failure }) }
  }

  return {
    async reconcile({ served, removedFronts = [], yieldTo }, signal) {
      const removed = removedFronts.filter(({ family }) => family === served.family).map(frontKey)
      const isNews = removed.some((key) => !older.has(key) && !newer.has(key))
      const isRepeated = !isNews && last !== undefined && servesAlike(last.served, served)
      if (isRepeated && now() < (last?.quietUntil ?? 0)) return NOTHING
      newer = newestOf([...newer, ...removed])
      const stale = await settled(listStale({ served, formerFronts: new Set([...older, ...newer]) }, signal))
      const result =
        stale instanceof ConntrackError ? { ...NOTHING, failure: stale } : await deleteStale(stale, { yieldTo, signal })
      const current = [...served.targets.keys()]
      const isDone = result.failure === undefined && result.left === 0
      if (isDone) [older, newer] = [newer, new Set(current)]
      else newer = newestOf([...newer, ...current])
      last = { served, quietUntil: isRepeated && isDone && result.deleted === 0 ? now() + QUIET_MS : 0 }
      return result
    },
  }
}

const NOTHING: Reconciliation = { listed: 0, deleted: 0, left: 0 }

interface StaleFlows {
  readonly listed: number
  readonly groups: readonly ListedGroup[]
}

/** Where conntrack is never there to succeed, what is remembered must not grow for ever. */
const MOST_REMEMBERED = 100_000

const newestOf = (keys: readonly string[]): ReadonlySet<string> => new Set(keys.slice(-MOST_REMEMBERED))

async function settled<Result>(attempt: Promise<Result>): Promise<Result | ConntrackError> {
  try {
    return await attempt
  } catch (error) {
    if (error instanceof ConntrackError) return error
    throw error
  }
}
