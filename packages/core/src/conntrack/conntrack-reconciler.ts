import { frontKey, type Front } from '../state/fronts.js'
import { ConntrackError, groupOf, type Flow, type FlowGroup, type FlowTable } from './flow-table.js'
import { isStale, servesAlike, type FlowRules, type ServedFronts } from './stale-flows.js'

export interface ReconcileRequest {
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

export interface ReconcilerOptions {
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
    const groups = new Map<string, FlowGroup>()
    let listed = 0
    // Without any UDP front, now or before, the kernel need not be asked.
    if (served.targets.size === 0 && formerFronts.size === 0) return { listed, groups: [] }
    const look = (flow: Flow): void => {
      listed++
      if (!isStale(flow, rules)) return
      const group = groupOf(flow)
      groups.set(Object.values(group).join(' '), group)
    }
    await flows.listFlows({ family: served.family, protocol: 'udp' }, look, signal)
    return { listed, groups: [...groups.values()] }
  }

  const deleteStale = async (
    { listed, groups }: StaleFlows,
    { yieldTo, signal }: { readonly yieldTo: AbortSignal | undefined; readonly signal: AbortSignal | undefined },
  ): Promise<Reconciliation> => {
    const waiting = [...groups]
    const next = (): FlowGroup | undefined =>
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
  readonly groups: readonly FlowGroup[]
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
