import {
  type EngineReport,
  messageOf,
  OBJECT_KINDS,
  type ProxyConfig,
  type Recorded,
  type Recorder,
  runSyncEngine,
  type SourceItem,
} from '@pointsman/core'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  asyncScheduler,
  filter,
  firstValueFrom,
  interval,
  mergeMap,
  type Observable,
  Subject,
  Subscription,
  takeUntil,
  tap,
} from 'rxjs'
import { watchFirewalld } from '../dataplanes.js'
import type { AgentMachine } from '../machine/open-machine.js'
import type { AgentObservers } from './agent-observers.js'
import { steadyScheduler } from './steady-time.js'
import { recordedEvents } from './cluster-source.js'
import { createFirstSync } from './first-sync.js'
import { keepInForce } from './keep-in-force.js'
import type { AgentStart } from './start-from-log.js'

interface FollowOptions {
  /** Of the Node that the rules are for. */
  readonly nodeName: string
  readonly config: ProxyConfig
  readonly source: Observable<SourceItem>
  readonly start: AgentStart
  readonly recorder: Recorder
  readonly machine: AgentMachine
  /** The rules were in force before the first sync, as far as reading them tells: the tables are compared after it. */
  readonly isCompareDue?: boolean | undefined
  /** Tries again to hold ports that other processes had; whether the rules follow. Absent: none is held. */
  readonly retryPorts?: (() => Promise<boolean>) | undefined
  readonly observers: Pick<AgentObservers, 'emit' | 'info' | 'warn' | 'context'>
  /** Asks for the end: what is known by then is brought into force, and nothing more is asked for. */
  readonly stop: AbortSignal
}

/** Syncs what the cluster says, until the process is asked to end, or something of `ends` fails. */
export async function followCluster(agent: FollowOptions, ends: readonly Promise<never>[]): Promise<void> {
  const { config, start, recorder, machine, observers } = agent
  const { fold } = start
  const { emit } = observers
  const stop = new Subject<void>()
  const resync = new Subject<'all' | void>()
  const inForce = new Subject<void>()
  const firstSync = createFirstSync({
    nodeName: agent.nodeName,
    known: start.known,
    usesServiceCidrs: machine.backend.usesServiceCidrs === true,
    observers,
  })

  const source = agent.source.pipe(takeUntil(stop))
  const events = recordedEvents({
    source,
    recorder,
    keepNode: agent.nodeName,
    onStatus: (status) => emit({ type: 'watch', status, at: asyncScheduler.now() }),
    onNotice: (notice) => {
      firstSync.onNotice(notice)
      const { code, message, observedAt, details } = notice
      const kind = OBJECT_KINDS.find((each) => each === details?.['kind'])
      if (code === 'NODE_DELETED') observers.warn(message)
      if (code === 'OBJECT_UNREADABLE' && kind !== undefined) emit({ type: 'unusable', kind, message, at: observedAt })
    },
  }).pipe(
    tap(({ seq, event }: Recorded) => {
      emit({ type: 'event', seq, event, at: asyncScheduler.now() })
      firstSync.onEvent(event)
    }),
  )
  const reports = runSyncEngine({
    events,
    fold,
    backend: machine.backend,
    recorder,
    received: start.received,
    // What had not come yet is no reason to take rules away.
    atEnd: 'cut-short',
    resync,
    scheduler: steadyScheduler,
    clock: observers.context.now,
    minSyncPeriodMs: config.minSyncPeriodMs,
    syncPeriodMs: config.syncPeriodMs,
    ...(start.appliedSeq !== undefined && { appliedSeq: start.appliedSeq }),
    ...(start.fromLog === undefined && { ready: firstSync.ready }),
  })
  const tell = (report: EngineReport): void => {
    emit({ type: 'engine', report, state: fold.state })
    if (report.type === 'synced') inForce.next()
  }
  const ended = new AbortController()
  const watching = new Subject<void>()
  const isWatching = firstValueFrom(watching, { defaultValue: undefined })
  let hasRead = agent.isCompareDue === true
  const kept = keepInForce({
    machine,
    inForce,
    hasRead: () => hasRead,
    syncPeriodMs: config.syncPeriodMs,
    scheduler: steadyScheduler,
    clock: observers.context.now,
    signal: ended.signal,
    onEvent: emit,
    onNotice: (notice) => recorder.put(notice),
    onDoubt: () => resync.next(),
    onWarning: observers.warn,
    onWatching: () => watching.next(),
  })
  const firewall = watchFirewalld({
    signal: ended.signal,
    onReload: (reload) => {
      const message = `firewalld ${FIREWALL_TEXT[reload]}, and may have flushed tables: resyncing all rules`
      observers.info(message)
      recorder.put({
        type: 'notice',
        observedAt: asyncScheduler.now(),
        code: 'FIREWALL_RELOADED',
        message,
        details: { firewall: 'firewalld', reload },
      })
      resync.next('all')
    },
    onError: (error) => observers.warn(`restarts of firewalld go unnoticed: ${messageOf(error)}`),
  })
  // Before the tables are read, so that no change falls between the reading and the watch.
  if (machine.hearsEveryChange) await atMost(WATCH_PATIENCE_MS, Promise.race([isWatching, kept.catch(() => undefined)]))
  hasRead = true
  const running = new Subscription()
  const done = new Promise<void>((resolve, reject) => {
    running.add(reports.subscribe({ next: tell, error: reject, complete: resolve }))
  })
  const addresses = interval(config.syncPeriodMs)
    .pipe(
      mergeMap(async () => {
        const isFreed = await agent.retryPorts?.()
        return (await addressesChanged(agent)) || isFreed === true
      }, 1),
      filter((changed) => changed),
    )
    .subscribe(() => resync.next())
  try {
    await Promise.race([aborted(agent.stop), done, kept, firewall, ...ends])
  } finally {
    addresses.unsubscribe()
    stop.next()
    // The sync under way is finished, and what waits for it as well, if that does not take too long.
    await atMost(
      LAST_SYNC_MS,
      done.catch(() => undefined),
    )
    running.unsubscribe()
    ended.abort()
    await atMost(CLOSING_MS, Promise.allSettled([kept, firewall]))
    await atMost(CLOSING_MS, machine.backend.close())
  }
}

const FIREWALL_TEXT = { started: 'has started', reloaded: 'was reloaded' } as const

async function addressesChanged({
  machine,
  observers,
}: Pick<FollowOptions, 'machine' | 'observers'>): Promise<boolean> {
  try {
    return await machine.refreshAddresses()
  } catch (error) {
    observers.warn(`cannot read the addresses of this machine; using the previous ones: ${String(error)}`)
    return false
  }
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** A watch over netlink begins within milliseconds. */
const WATCH_PATIENCE_MS = 1000
/** Together with what closes after it less than five seconds. */
const LAST_SYNC_MS = 3000
const CLOSING_MS = 500

/** Waits for work, but not longer: undefined where it is not done by then. No timer is left that would keep the process. */
export async function atMost<Result>(ms: number, work: Promise<Result>): Promise<Result | undefined> {
  const over = new AbortController()
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: over.signal })])
  } finally {
    over.abort()
  }
}
