import { setTimeout } from 'node:timers/promises'
import type { IpFamily } from '../model/address.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { Front } from '../state/fronts.js'
import type { State } from '../state/state.js'
import { createConntrackReconciler, type Reconciliation } from './conntrack-reconciler.js'
import type { ConntrackError, FlowTable } from './flow-table.js'
import { servedFrontsOf } from './stale-flows.js'

/** What is told after each attempt. */
export type ConntrackReport =
  | ({ readonly type: 'reconciled' } & ConntrackCounts)
  | ({
      readonly type: 'failed'
      readonly error: ConntrackError
      /** Absent: not before the next sync. */
      readonly retryInMs?: number
    } & ConntrackCounts)

/** All families together. */
export interface ConntrackCounts {
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
 * long: what is left then is done after that sync. A sync that fails has no `afterSync`: the one that mends it has.
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
  /** What the node's interfaces bear, asked after each sync. Default: the addresses of the Node object, and loopback. */
  readonly nodeAddresses?: (() => readonly string[] | undefined) | undefined
  /**
   * UDP fronts that there were before the start, as a log knows (`udpFrontsOf`): what was removed while nobody was there,
   * or before its flows could be deleted. Looked for after the first sync, and until that is done.
   */
  readonly formerFronts?: readonly Front[] | undefined
  readonly onReport?: ((report: ConntrackReport) => void) | undefined
  /** The pause before the first retry, doubled each time up to the configuration's syncPeriodMs. Default: 1 second. */
  readonly retryMs?: number | undefined
  /** How long a sync waits, before no further deletion is begun. Default: 1 second. */
  readonly patienceMs?: number | undefined
  /** Waits, and ends early when the signal is given; never fails. */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined
  /** A clock in milliseconds that never goes back. */
  readonly now?: (() => number) | undefined
}

export function createConntrackHook(options: ConntrackHookOptions): ConntrackHook {
  const { config, flows, families = config.families, nodeAddresses, onReport } = options
  const { retryMs = 1000, patienceMs = 1000 } = options
  const { sleep = pause, now = () => performance.now() } = options
  const reconcilers = families.map((family) => ({ family, ...createConntrackReconciler({ flows, now }) }))
  const closing = new AbortController()
  let underWay: UnderWay | undefined
  let toldMissing = false
  let former = options.formerFronts ?? []

  const reconcileAll = async (
    tasks: readonly Task[],
  ): Promise<Reconciliation & { readonly families: readonly FamilyFlows[] }> => {
    const results: Reconciliation[] = []
    const each: FamilyFlows[] = []
    for (const { family, run } of tasks) {
      const startedAt = now()
      const result = await run(closing.signal)
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

  const reconcileUntilDone = async (tasks: readonly Task[], giveUp: AbortSignal): Promise<void> => {
    for (let pauseMs = retryMs; ; pauseMs = Math.min(2 * pauseMs, config.syncPeriodMs)) {
      const startedAt = now()
      const { failure, ...counts } = await reconcileAll(tasks)
      const done = { ...counts, durationMs: now() - startedAt }
      if (closing.signal.aborted) return
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
    const { giveUp, stop, ended } = underWay
    giveUp.abort()
    const isOver = new AbortController()
    void sleep(patienceMs, isOver.signal).then(() => stop.abort())
    await ended
    isOver.abort()
  }

  return {
    beforeSync: settle,

    afterSync(state) {
      const removedFronts = former
      former = []
      const [giveUp, stop] = [new AbortController(), new AbortController()]
      const interfaces = nodeAddresses?.()
      const tasks = reconcilers.map(({ family, reconcile }): Task => {
        const served = servedFrontsOf({ state, config, family, nodeAddresses: interfaces })
        return { family, run: (signal) => reconcile({ served, removedFronts, yieldTo: stop.signal }, signal) }
      })
      const before = settle()
      underWay = { giveUp, stop, ended: before.then(() => reconcileUntilDone(tasks, giveUp.signal)) }
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
  readonly ended: Promise<void>
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
