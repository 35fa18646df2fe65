import {
  heldUntil,
  type LogEntry,
  NEEDED_KINDS,
  OBJECT_KINDS,
  type ObjectKind,
  type ProxyConfig,
  type Recorder,
  type SourceItem,
  trackChanges,
  type WatchStatus,
} from '@pointsman/core'
import { asyncScheduler, identity, map, type Observable, startWith, Subject, takeUntil, tap } from 'rxjs'
import { type Context, dataplaneOf } from '../../context.js'
import { runProcess } from '../../dataplanes.js'
import { inMode } from '../../input/proxy-config.js'
import type { VariantOptions } from '../../input/rules-question.js'
import { interfaceAddresses, machineOf, tcpBeLiberal } from '../../machine/open-machine.js'
import { SILENT } from '../../output/terminal.js'
import type { AgentObservers } from '../agent-observers.js'
import { recordedEvents } from '../cluster-source.js'
import { createFirstSync } from '../first-sync.js'
import { aborted, atMost } from '../follow-cluster.js'
import type { AgentStart } from '../start-from-log.js'
import { steadyScheduler } from '../steady-time.js'
import { damageText, rightText } from './observed-lines.js'
import { observeRules, type Observation, type ObservedRules } from './observe-rules.js'

interface ObserveClusterOptions extends OpenObservedOptions {
  readonly source: Observable<SourceItem>
  readonly start: AgentStart
  readonly recorder: Recorder
  readonly observers: Pick<AgentObservers, 'emit' | 'warn' | 'info' | 'context'>
  /** Asks for the end. */
  readonly stop: AbortSignal
}

/**
 * Records what the cluster says and compares the rules of this machine with it, until the process is asked to end, or something
 * of `ends` fails. Writes nothing but the log.
 */
export async function observeCluster(agent: ObserveClusterOptions, ends: readonly Promise<never>[]): Promise<void> {
  const { config, nodeName, start, recorder, observers } = agent
  const { fold } = start
  const { emit } = observers
  const stop = new Subject<void>()
  const firstSync = createFirstSync({
    nodeName,
    known: start.known,
    usesServiceCidrs: dataplaneOf(observers.context, config).usesServiceCidrs === true,
    observers,
  })
  const phases = new Map<ObjectKind, WatchStatus['phase']>()
  const changes = recordedEvents({
    source: agent.source.pipe(takeUntil(stop)),
    recorder,
    keepNode: nodeName,
    onStatus: (status) => {
      phases.set(status.kind, status.phase)
      emit({ type: 'watch', status, at: asyncScheduler.now() })
    },
    onNotice: (notice) => {
      firstSync.onNotice(notice)
      const { code, message, observedAt, details } = notice
      const kind = OBJECT_KINDS.find((each) => each === details?.['kind'])
      if (code === 'NODE_DELETED') observers.warn(message)
      if (code === 'OBJECT_UNREADABLE' && kind !== undefined) emit({ type: 'unusable', kind, message, at: observedAt })
    },
  }).pipe(
    tap(({ seq, event }) => {
      emit({ type: 'event', seq, event, at: asyncScheduler.now() })
      firstSync.onEvent(event)
    }),
    trackChanges(fold, { received: start.received, atEnd: 'cut-short' }),
    start.fromLog === undefined ? heldUntil<void>(firstSync.ready) : identity,
    // What a log knows is compared at once.
    start.fromLog === undefined ? identity : startWith(undefined),
    map(() => {
      const applied = fold.apply()
      return { state: fold.state, applied }
    }),
  )
  const ended = new AbortController()
  let damaged: Observation['damage']
  let isOpened = false
  const observing = observeRules({
    changes,
    minSyncPeriodMs: config.minSyncPeriodMs,
    open: () => openObserved(agent, observers.context),
    isWatching: () => NEEDED_KINDS.every((kind) => phases.get(kind) === 'watching'),
    scheduler: steadyScheduler,
    clock: observers.context.now,
    signal: ended.signal,
    onOpened: ({ dataplane, rules }) => {
      if (!isOpened) emit({ type: 'opened', at: asyncScheduler.now() })
      isOpened = true
      observers.info(`observing node ${nodeName}, ${dataplane.mode} mode, ${rules.tool.name}: no rules are written`)
    },
    onListening: (listening) => emit({ type: 'listening', listening }),
    onObservation: (observation) => {
      emit({ type: 'observed', observation })
      const notice = noticeOf(observation, damaged)
      damaged = observation.damage
      if (notice !== undefined) recorder.put(notice)
    },
  })
  try {
    await Promise.race([aborted(agent.stop), observing, ...ends])
  } finally {
    stop.next()
    ended.abort()
    await atMost(
      CLOSING_MS,
      observing.catch(() => undefined),
    )
  }
}

const CLOSING_MS = 500

interface OpenObservedOptions extends VariantOptions {
  readonly nodeName: string
  readonly config: ProxyConfig
  /** The families were asked for: one that this machine does not have is an error. Default: it is left out. */
  readonly family?: string | undefined
  /** Addresses that the node's interfaces have, where they are given. */
  readonly nodeAddresses?: readonly string[] | undefined
}

/**
 * The rule system that has rules of a proxy: the configured one if it has, else another variant or mode if that has, else the configured
 * one. A variant that was given is the only one. Fails as `Dataplane.openRules` of the configured one.
 */
async function openObserved(
  { config, family, iptablesVariant, nodeAddresses }: OpenObservedOptions,
  context: Context,
): Promise<ObservedRules> {
  const wanted = dataplaneOf(context, config)
  const machine = machineOf({ ...context, stderr: SILENT })
  const { families } = config
  const opened = async (dataplane: typeof wanted, variant: typeof iptablesVariant): Promise<ObservedRules> => {
    const choices = { iptablesVariant: variant }
    const rules = await dataplane.openRules({ families, choices, leaveOut: family === undefined }, machine)
    const addresses = nodeAddresses ?? (await interfaceAddresses(runProcess))
    const rest = { interfaceAddresses: addresses, tcpBeLiberal: tcpBeLiberal(), ...rules.capabilities }
    return { dataplane, rules, families, machine: rest, config: inMode(config, dataplane.mode) }
  }
  const first = await opened(wanted, iptablesVariant)
  if (await hasRules(first)) return first
  // `auto` finds the variant by the rules of all programs; those of the proxy may be in the other one.
  const variants = iptablesVariant === 'auto' ? (['nft', 'legacy'] as const) : [iptablesVariant]
  const others = [wanted, ...context.dataplanes.filter((one) => one !== wanted)]
  for (const dataplane of others) {
    for (const variant of dataplane.mode === 'iptables' ? variants : [iptablesVariant]) {
      const other = await opened(dataplane, variant).catch(() => undefined)
      if (other !== undefined && (await hasRules(other))) return other
    }
  }
  return first
}

const hasRules = async ({ rules }: ObservedRules): Promise<boolean> =>
  (await rules.read()).some(({ rules: { count } }) => count > 0)

/** What an observer writes to the change log. A code is a contract: codes are added, not renamed. */
export const OBSERVER_NOTICE_CODES = {
  RULES_WRONG: 'rules of the service proxy are what no state of the cluster explains, and stay so',
  RULES_RIGHT: 'the rules are those of a known state again',
} as const

function noticeOf(
  { at, damage }: Observation,
  before: Observation['damage'],
): Extract<LogEntry, { type: 'notice' }> | undefined {
  if (damage !== undefined && before === undefined) {
    const { texts, findingCount, servicePorts, by, since } = damage
    return {
      type: 'notice',
      observedAt: at,
      code: 'RULES_WRONG',
      message: damageText(damage),
      details: {
        since: new Date(since).toISOString(),
        findings: texts.slice(0, MAX_NAMED),
        findingCount,
        servicePorts: servicePorts.slice(0, MAX_NAMED),
        servicePortCount: servicePorts.length,
        ...(by.length > 0 && { by: by.map(({ pid, command }) => ({ pid, command })) }),
      },
    }
  }
  if (damage !== undefined || before === undefined) return undefined
  return { type: 'notice', observedAt: at, code: 'RULES_RIGHT', message: rightText(before, at) }
}

const MAX_NAMED = 20
