import {
  type IpFamily,
  isClusterScoped,
  type LogHealth,
  NO_SEQ,
  type NodeInfo,
  nodeInfoOf,
  type ObjectKind,
  type Refusal,
  type Seq,
  type WatchEvent,
  type WatchStatus,
  messageOf,
} from '@pointsman/core'
import type { AgentEvent, LogStart } from '../agent-event.js'
import type { HeldPortsReport } from '../held-ports.js'
import type { Observation } from '../observe/observe-rules.js'
import { afterApplied, movedWaiting, type Unapplied, withUnapplied } from './unapplied.js'

/** What health is derived from: a fold over what happens in an agent. Times in milliseconds since 1970 UTC. */
export interface Health {
  readonly families: readonly IpFamily[]
  readonly fromLog?: LogStart
  readonly proxiers: Readonly<Record<IpFamily, Proxier>>
  /** Families whose part of the run under way succeeded. */
  readonly syncedFamilies: readonly IpFamily[]
  /** Kinds of which everything has been received once. */
  readonly received: readonly ObjectKind[]
  /** Since when rules could be written: everything has been received once. */
  readonly initializedAt?: number
  /** Absent: no Node was ever seen. */
  readonly node?: { readonly isEligible: boolean; readonly isWatched: boolean }
  readonly watches: { readonly [kind in ObjectKind]?: WatchStatus }
  /** Kinds that have been watched since the start, for however long. */
  readonly followed: readonly ObjectKind[]
  /** Kinds that the server does not have, or not for this user, and why. */
  readonly unavailable: { readonly [kind in ObjectKind]?: string }
  /** When all kinds had been, but for those, and the last event that came of it: what a watch has missed comes at its beginning. */
  readonly caughtUp?: { readonly at: number; readonly seq: Seq }
  /** The last watch event, and the last one that is in the rules. */
  readonly head: Seq
  readonly applied?: Seq
  readonly unapplied: readonly Unapplied[]
  /** The last run failed. */
  readonly syncError?: unknown
  /** Service ports that kept the rules that they had, as of the last run that succeeded; oldest first. */
  readonly refused: readonly Refusal[]
  /** What the last request to the API server was answered with. */
  readonly lastCode?: string
  readonly log: LogHealth
  /** Absent: none is to be held. */
  readonly ports?: HeldPortsReport
  readonly audit: Audit
  /** Of an observer, the last that it knows of the rules. */
  readonly observed?: Observation
}

interface Proxier {
  readonly updatedAt?: number
  readonly waiting: readonly Unapplied[]
}

interface Audit {
  readonly checkedAt?: number
  /** The tables could not be read, or not be put right. */
  readonly error?: unknown
  /** The last time that another program had changed them. */
  readonly drift?: { readonly at: number; readonly chains: number }
  /** Whether the watch of the tables hears of changes; the error: why not. */
  readonly listening?: { readonly ok: boolean; readonly error?: unknown }
}

interface HealthOptions {
  readonly families: readonly IpFamily[]
  /** The agent's Node; absent: whichever is watched. */
  readonly nodeName?: string
  readonly kinds: readonly ObjectKind[]
}

export const initialHealth = ({ families }: HealthOptions): Health => ({
  families,
  proxiers: { IPv4: { waiting: [] }, IPv6: { waiting: [] } },
  syncedFamilies: [],
  received: [],
  watches: {},
  followed: [],
  unavailable: {},
  head: NO_SEQ,
  unapplied: [],
  refused: [],
  log: { type: 'ok' },
  audit: {},
})

/** Wall time was set by so many milliseconds: moments that are compared with the present move along. */
export function movedBy(health: Health, ms: number): Health {
  const { initializedAt, caughtUp, watches, observed } = health
  const damage = observed?.damage
  return {
    ...withProxiers(health, health.families, ({ updatedAt, waiting }) => ({
      ...(updatedAt !== undefined && { updatedAt: updatedAt + ms }),
      waiting: movedWaiting(waiting, ms),
    })),
    unapplied: movedWaiting(health.unapplied, ms),
    ...(initializedAt !== undefined && { initializedAt: initializedAt + ms }),
    ...(caughtUp && { caughtUp: { ...caughtUp, at: caughtUp.at + ms } }),
    watches: Object.fromEntries(
      Object.entries(watches).map(([kind, status]) => [
        kind,
        status.heardAt === undefined ? status : { ...status, heardAt: status.heardAt + ms },
      ]),
    ),
    ...(observed && damage && { observed: { ...observed, damage: { ...damage, since: damage.since + ms } } }),
  }
}

/** One event further. What has no part in health leaves it as it is. */
export function nextHealth(health: Health, event: AgentEvent, options: HealthOptions): Health {
  switch (event.type) {
    case 'start': {
      const { at, fromLog } = event
      // Where the log turns out to be unreadable after all, nothing of it is believed.
      const { fromLog: _, applied: __, ...rest } = health
      const started = withProxiers(rest, health.families, (proxier) => ({ ...proxier, updatedAt: at }))
      return fromLog === undefined ? started : { ...started, fromLog, head: fromLog.seq, initializedAt: at }
    }
    case 'confirmed': {
      const { at, seq, node } = event
      const confirmed = withProxiers(health, health.families, (proxier) => ({ ...proxier, updatedAt: at }))
      return { ...confirmed, applied: seq, ...(node && { node: { isEligible: isEligible(node), isWatched: false } }) }
    }
    case 'event':
      return withWatchEvent(health, event, options)
    case 'family': {
      const { family, error } = event.report
      return error === undefined ? { ...health, syncedFamilies: [...health.syncedFamilies, family] } : health
    }
    case 'engine':
      return afterRun(health, event)
    case 'watch':
      return withWatch(health, event.status, options)
    case 'unavailable': {
      const { kind, message, at } = event
      const unavailable = { ...health.unavailable, [kind]: message }
      return withCaughtUp({ ...health, unavailable }, { ...options, at })
    }
    case 'log':
      return { ...health, log: event.health }
    case 'ports':
      return { ...health, ports: event.report }
    case 'drift':
      return { ...health, audit: auditAfter(health.audit, event) }
    case 'listening': {
      const { type, ...rest } = event.listening
      return { ...health, audit: { ...health.audit, listening: { ok: type === 'listening', ...rest } } }
    }
    case 'observed':
      return afterObservation(health, event.observation)
    case 'request':
      return event.request.method === 'GET' ? { ...health, lastCode: event.request.code } : health
    case 'opened':
    case 'unserved':
    case 'conntrack':
    case 'unusable':
    case 'probe':
      return health
  }
}

/** What was missed is taken to have come by then: nothing marks its end on a watch that goes on where it was. */
export const CATCH_UP_MS = 2000

/** Whether the node may get traffic of load balancers (kube-proxy's NodeEligible): not while it goes away. */
const isEligible = ({ deleting, taints }: NodeInfo): boolean =>
  !deleting && !taints.some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler')

function withWatchEvent(
  health: Health,
  { seq, event, at }: Extract<AgentEvent, { type: 'event' }>,
  { nodeName }: HealthOptions,
): Health {
  // How far a watch has come is in no rule, and no sync waits for it.
  if (event.type === 'BOOKMARK' && !event.initialEventsEnd) return health
  const queued = withProxiers(health, queuedFamilies(event), (proxier) => ({
    ...proxier,
    waiting: withUnapplied(proxier.waiting, { seq, at }),
  }))
  const { caughtUp } = health
  const next = {
    ...queued,
    head: seq,
    unapplied: withUnapplied(health.unapplied, { seq, at }),
    ...(caughtUp && at <= caughtUp.at + CATCH_UP_MS && { caughtUp: { ...caughtUp, seq } }),
  }
  if (event.type === 'BOOKMARK') return withReceived(next, { kind: event.kind, at })
  return event.object.kind === 'Node' ? { ...next, ...nodeOf(event, nodeName) } : next
}

function nodeOf(event: Exclude<WatchEvent, { type: 'BOOKMARK' }>, nodeName: string | undefined): Pick<Health, 'node'> {
  if (nodeName !== undefined && event.object.metadata.name !== nodeName) return {}
  // As kube-proxy, which keeps the last version of a Node that is gone.
  if (event.type === 'DELETED') return {}
  return { node: { isEligible: isEligible(nodeInfoOf(event.object).node), isWatched: true } }
}

/** As kube-proxy, which asks for no sync before it has received both: what comes before is not late. */
function withReceived(health: Health, { kind, at }: { readonly kind: ObjectKind; readonly at: number }): Health {
  const received = [...health.received.filter((one) => one !== kind), kind]
  const isInitialized = received.includes('Service') && received.includes('EndpointSlice')
  return { ...health, received, ...(isInitialized && { initializedAt: health.initializedAt ?? at }) }
}

function afterRun(health: Health, { report, state }: Extract<AgentEvent, { type: 'engine' }>): Health {
  const { toSeq, startedAt, endedAt } = report
  // A service that is refused is no reason to start the agent again, nor to send the node no traffic: the others are programmed.
  const synced = report.type === 'synced' ? health.families : health.syncedFamilies
  const failed = health.families.filter((family) => !synced.includes(family))
  const succeeded = withProxiers(health, synced, ({ waiting }) => ({
    updatedAt: endedAt,
    waiting: afterApplied(waiting, toSeq),
  }))
  // A run that fails is late sooner or later, also when nobody has asked for it since the start.
  const all = withProxiers(succeeded, failed, (proxier) =>
    proxier.waiting.length > 0 ? proxier : { ...proxier, waiting: [{ at: startedAt, lastSeq: toSeq }] },
  )
  const { node } = state
  const fromState = node === undefined ? health.node : { isEligible: isEligible(node), isWatched: false }
  const { syncError: _, ...rest } = all
  return {
    ...rest,
    syncedFamilies: [],
    initializedAt: health.initializedAt ?? startedAt,
    // The watch may be ahead of the run.
    ...(health.node?.isWatched !== true && fromState && { node: fromState }),
    ...(report.type === 'synced'
      ? {
          applied: toSeq,
          // A sync carries bookmarks too.
          head: toSeq > health.head ? toSeq : health.head,
          unapplied: afterApplied(health.unapplied, toSeq),
          refused: report.refusals.current,
        }
      : { syncError: report.error }),
  }
}

/** What is in force was written by another program, and seen. */
function afterObservation(health: Health, observation: Observation): Health {
  const { at, inForce, look, error } = observation
  const checkedAt = look === undefined ? health.audit.checkedAt : at
  const known = error !== undefined || look === undefined ? (error ?? health.audit.error) : undefined
  const {
    audit: { listening },
  } = health
  const audit = {
    ...(checkedAt !== undefined && { checkedAt }),
    ...(known !== undefined && { error: known }),
    ...(listening && { listening }),
  }
  const next = { ...health, audit, observed: observation }
  if (inForce === undefined) return next
  return {
    ...withProxiers(next, health.families, ({ waiting }) => ({
      updatedAt: at,
      waiting: afterApplied(waiting, inForce),
    })),
    applied: inForce,
    unapplied: afterApplied(health.unapplied, inForce),
  }
}

function withWatch(health: Health, status: WatchStatus, { kinds }: HealthOptions): Health {
  const { kind, phase } = status
  const isFirst = phase === 'watching' && !health.followed.includes(kind)
  const followed = isFirst ? [...health.followed, kind] : health.followed
  const { [kind]: _served, ...unavailable } = health.unavailable
  const next = { ...health, watches: { ...health.watches, [kind]: status }, followed, unavailable }
  return isFirst ? withCaughtUp(next, { kinds, at: status.heardAt ?? 0 }) : next
}

function withCaughtUp(health: Health, { kinds, at }: Pick<HealthOptions, 'kinds'> & { readonly at: number }): Health {
  const { caughtUp, followed, unavailable, head } = health
  if (caughtUp !== undefined) return health
  const areAll = kinds.every((one) => followed.includes(one) || unavailable[one] !== undefined)
  return areAll ? { ...health, caughtUp: { at, seq: head } } : health
}

function auditAfter({ drift, listening }: Audit, { drifts, at, error }: Extract<AgentEvent, { type: 'drift' }>): Audit {
  const chains = drifts.reduce((sum, one) => sum + one.chains.length, 0)
  const last = chains > 0 ? { at, chains } : drift
  return {
    checkedAt: at,
    ...(last && { drift: last }),
    ...(error !== undefined && { error }),
    ...(listening && { listening }),
  }
}

const withProxiers = (health: Health, families: readonly IpFamily[], change: (proxier: Proxier) => Proxier): Health =>
  families.length === 0
    ? health
    : {
        ...health,
        proxiers: {
          ...health.proxiers,
          ...Object.fromEntries(families.map((family) => [family, change(health.proxiers[family])])),
        },
      }

/**
 * A time in UTC as Go writes it in JSON, which is what readers of kube-proxy's answers parse: a fraction has no zeros at its
 * end, and a whole second none at all. Undefined: Go's zero time.
 */
export function goTime(ms: number | undefined): string {
  if (ms === undefined) return '0001-01-01T00:00:00Z'
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z')
}

/** What an error says, in one line. */
export const describeError = (error: unknown): string => messageOf(error).replaceAll(/(?<!\s)\s*\n\s*/g, '; ')

/**
 * The families whose rules an event asks to be synced, as kube-proxy's proxier of each family counts it: a slice is of one
 * family, a Service may be of both. What a Node or ServiceCIDR says asks for nothing by itself.
 */
export function queuedFamilies(event: WatchEvent): readonly IpFamily[] {
  if (event.type === 'BOOKMARK' || isClusterScoped(event.object.kind)) return NONE
  if (event.object.kind === 'Service') return BOTH
  return BOTH.filter((family) => family === event.object['addressType'])
}

const NONE: readonly IpFamily[] = []
const BOTH: readonly IpFamily[] = ['IPv4', 'IPv6']
