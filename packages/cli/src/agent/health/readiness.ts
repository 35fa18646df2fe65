import { type IpFamily, NEEDED_KINDS, type ObjectKind, ServicesRefusedError, type WatchStatus } from '@pointsman/core'
import type { AgentEvent } from '../agent-event.js'
import { type HeldPortsStatus, heldPortsStatus } from '../held-ports.js'
import { type Damage, processText } from '../observe/damage.js'
import { describeError, type Health, initialHealth, movedBy, nextHealth } from './health.js'
import { healthz, isDoubtful, isServing, livez, type ProbeAnswer, type ProxyHealthBody } from './proxy-health.js'
import { createWallTime } from '../steady-time.js'

/** What /readyz answers: each reason for which the rules may not be what the cluster wants, told apart. Times RFC 3339. */
export interface Readiness {
  /** All four checks are good. */
  readonly ready: boolean
  readonly currentTime: string
  readonly checks: {
    readonly apiServer: ApiServerCheck
    readonly watch: WatchCheck
    readonly applied: AppliedCheck
    readonly audit: AuditCheck
  }
  /** The change log. Whatever it is, the rules are kept right. */
  readonly log: {
    readonly ok: boolean
    readonly code?: string
    readonly message?: string
    readonly unwritten?: number
    readonly lost?: number
  }
  /** Node ports and external IPs that are held open. Whatever it is, the rules are kept right. Absent: none ever was. */
  readonly ports?: HeldPortsStatus
  /** What the agent began with, when it began with a log. */
  readonly startedFrom?: {
    readonly seq: number
    readonly at: string
    readonly rebooted: boolean
    /** After a reboot, before what the log says is confirmed by the API server. */
    readonly doubtful: boolean
  }
}

interface ApiServerCheck {
  readonly ok: boolean
  readonly heardAt?: string
  readonly error?: string
}

interface WatchCheck {
  readonly ok: boolean
  readonly kinds: { readonly [kind in ObjectKind]?: KindCheck }
}

interface KindCheck {
  readonly ok: boolean
  /** `unavailable`: the server does not have the kind, or not for this user. The rules can do without, and `error` says why. */
  readonly phase: WatchStatus['phase'] | 'unavailable'
  readonly heardAt?: string
  readonly error?: string
  readonly retryAt?: string
}

interface AppliedCheck {
  readonly ok: boolean
  /** The last watch event, and the last one that is in the rules; absent: no sync has succeeded. */
  readonly head: number
  readonly applied?: number
  /** How long the oldest event that is not in the rules has waited. */
  readonly behindMs: number
  /** Why the last sync failed, or left out service ports. */
  readonly error?: string
  /** Service ports whose rules are refused: the first few, those that have waited longest first. Absent: none. */
  readonly refused?: readonly RefusedCheck[]
  /** How many there are. */
  readonly refusedCount?: number
}

interface RefusedCheck {
  readonly servicePort: string
  readonly since: string
  readonly error: string
  readonly retryAt: string
}

interface AuditCheck {
  /**
   * False: the tables could not be compared, or not be put right, or the watch of them has failed. What was found and put right is
   * told, and good.
   */
  readonly ok: boolean
  /** Whether external changes are heard of at once; false: they are found at an interval. Absent: the rule system cannot tell. */
  readonly listening?: boolean
  readonly checkedAt?: string
  readonly lastDrift?: { readonly at: string; readonly chains: number }
  /** Of an observer: rules that no state of the cluster explains. Absent: there are none. */
  readonly wrong?: WrongRules
  /** Of an observer: what cannot be compared as given. Absent: nothing. */
  readonly incomparable?: string
  readonly error?: string
}

interface WrongRules {
  readonly since: string
  /** How long the rules have been wrong. */
  readonly forSeconds: number
  readonly findings: readonly string[]
  readonly findingCount: number
  /** The first few; none: rules that are there whatever Services there are. */
  readonly servicePorts: readonly string[]
  readonly servicePortCount: number
  /** `iptables (process 4711)`: who changed tables meanwhile. */
  readonly by: readonly string[]
}

interface ReadinessLimits {
  /** Milliseconds since 1970 UTC. */
  readonly now: number
  readonly kinds: readonly ObjectKind[]
  /** An event may be on its way to the rules for so long. */
  readonly behindMs: number
  /** A watch that is opened anew counts as fresh for so long after the last word. */
  readonly freshMs: number
}

function readyz(health: Health, limits: ReadinessLimits): ProbeAnswer<Readiness> {
  const checks = {
    apiServer: apiServerCheck(health, limits),
    watch: watchCheck(health, limits),
    applied: appliedCheck(health, limits),
    audit: auditCheck(health, limits),
  }
  const ready = Object.values(checks).every(({ ok }) => ok)
  const { fromLog } = health
  return {
    status: ready ? 200 : 503,
    body: {
      ready,
      currentTime: time(limits.now),
      checks,
      log: logStatus(health),
      ...(health.ports && { ports: heldPortsStatus(health.ports) }),
      ...(fromLog && {
        startedFrom: {
          seq: fromLog.seq,
          at: time(fromLog.at),
          rebooted: fromLog.rebooted,
          doubtful: isDoubtful(health, limits.now),
        },
      }),
    },
  }
}

/** Reachable: some watch hears it, or the last request had an answer, whichever. */
function apiServerCheck({ watches, lastCode }: Health, { kinds }: ReadinessLimits): ApiServerCheck {
  const known = kinds.flatMap((kind) => watches[kind] ?? [])
  const heard = known.flatMap(({ heardAt }) => heardAt ?? [])
  const isHeard = known.some(({ phase }) => phase === 'watching' || phase === 'listing')
  const ok = isHeard || (lastCode !== undefined && lastCode !== '<error>')
  const error = ok ? undefined : known.find((status) => status.error !== undefined)?.error?.message
  return { ok, ...(heard.length > 0 && { heardAt: time(Math.max(...heard)) }), ...(error !== undefined && { error }) }
}

function watchCheck({ watches, followed, unavailable }: Health, { now, kinds, freshMs }: ReadinessLimits): WatchCheck {
  const checkOf = (kind: ObjectKind): KindCheck => {
    const lack = unavailable[kind]
    if (lack !== undefined) return { ok: true, phase: 'unavailable', error: lack }
    const { phase = 'connecting', heardAt, error, retryAt } = watches[kind] ?? {}
    const isRecent = followed.includes(kind) && heardAt !== undefined && now - heardAt < freshMs
    return {
      ok: phase === 'watching' || isRecent,
      phase,
      ...(heardAt !== undefined && { heardAt: time(heardAt) }),
      ...(error && { error: error.message }),
      ...(retryAt !== undefined && { retryAt: time(retryAt) }),
    }
  }
  const checked = kinds.map((kind) => [kind, checkOf(kind)] as const)
  return { ok: checked.every(([, { ok }]) => ok), kinds: Object.fromEntries(checked) }
}

function appliedCheck(health: Health, limits: ReadinessLimits): AppliedCheck {
  const { head, applied, unapplied, syncError, refused, observed } = health
  const waitedMs = Math.max(0, limits.now - (unapplied[0]?.at ?? limits.now))
  // What an observer has not looked at may be in the rules.
  const behindMs = observed === undefined ? waitedMs : (observed.behind?.forMs ?? 0)
  const error = syncError ?? (refused.length === 0 ? undefined : new ServicesRefusedError(refused))
  return {
    ok: applied !== undefined && error === undefined && !(observed?.behind?.late ?? behindMs > limits.behindMs),
    head,
    ...(applied !== undefined && { applied }),
    behindMs,
    ...(error !== undefined && { error: describeError(error) }),
    ...(refused.length > 0 && {
      refused: refused.slice(0, MAX_REFUSED).map((refusal) => ({
        servicePort: refusal.owner,
        since: time(refusal.since),
        error: describeError(refusal.error),
        retryAt: time(refusal.retryAt),
      })),
      refusedCount: refused.length,
    }),
  }
}

const MAX_REFUSED = 20

function auditCheck(
  { audit: { checkedAt, drift, listening, ...audit }, observed }: Health,
  { now }: ReadinessLimits,
): AuditCheck {
  // An observer that cannot listen looks more often.
  const error = audit.error ?? (observed === undefined ? listening?.error : undefined)
  const { damage, incomparable } = observed ?? {}
  return {
    ok: error === undefined && damage === undefined,
    ...(listening && { listening: listening.ok }),
    ...(checkedAt !== undefined && { checkedAt: time(checkedAt) }),
    ...(drift && { lastDrift: { at: time(drift.at), chains: drift.chains } }),
    ...(damage && { wrong: wrongRules(damage, now) }),
    ...(incomparable !== undefined && { incomparable }),
    ...(error !== undefined && { error: describeError(error) }),
  }
}

const wrongRules = ({ since, texts, findingCount, servicePorts, by }: Damage, now: number): WrongRules => ({
  since: time(since),
  forSeconds: Math.max(0, Math.round((now - since) / 1000)),
  findings: texts.slice(0, MAX_REFUSED),
  findingCount,
  servicePorts: servicePorts.slice(0, MAX_REFUSED),
  servicePortCount: servicePorts.length,
  by: by.map(processText),
})

function logStatus({ log }: Health): Readiness['log'] {
  if (log.type === 'ok') return { ok: true }
  const { code, message, unwritten, lost } = log
  return { ok: false, code, message, unwritten, lost }
}

const time = (ms: number): string => new Date(ms).toISOString()

interface AgentHealthOptions {
  readonly families: readonly IpFamily[]
  readonly syncPeriodMs: number
  readonly minSyncPeriodMs: number
  /** The agent's Node; absent: whichever is watched. */
  readonly nodeName?: string
  /** What is watched. Default: the kinds that every rule system needs. */
  readonly kinds?: readonly ObjectKind[]
  /** Milliseconds since 1970 UTC. */
  readonly clock: () => number
  /** Milliseconds of a clock that is not set. */
  readonly steady: () => number
}

/** An agent's health: told what happens, and asked by the HTTP servers. */
export interface AgentHealth {
  readonly on: (event: AgentEvent) => void
  readonly healthz: () => ProbeAnswer<ProxyHealthBody>
  readonly livez: () => ProbeAnswer<ProxyHealthBody>
  readonly readyz: () => ProbeAnswer<Readiness>
  /** What health-check ports say of the proxy. */
  readonly isServing: () => boolean
}

export function createAgentHealth(options: AgentHealthOptions): AgentHealth {
  const { syncPeriodMs, minSyncPeriodMs, kinds = NEEDED_KINDS, clock, steady } = options
  const foldOptions = { ...options, kinds }
  let health: Health = initialHealth(foldOptions)
  // kube-proxy's, which is on time twice as long as it may take to try again.
  const moment = () => ({ now: clock(), timeoutMs: 2 * syncPeriodMs })
  const wallTime = createWallTime({ steady, wall: clock })
  /** What has waited has waited as long as before, also when the clock was set. */
  const current = (): Health => {
    const step = wallTime.step()
    return step === 0 ? health : (health = movedBy(health, step))
  }

  return {
    on: (event) => void (health = nextHealth(current(), event, foldOptions)),
    healthz: () => healthz(current(), moment()),
    livez: () => livez(current(), moment()),
    readyz: () =>
      readyz(current(), { now: clock(), kinds, behindMs: minSyncPeriodMs + SYNC_ALLOWANCE_MS, freshMs: FRESH_MS }),
    isServing: () => isServing(current(), moment()),
  }
}

/** What a sync may take before events that wait for it are called behind. */
const SYNC_ALLOWANCE_MS = 5000
const FRESH_MS = 30_000
