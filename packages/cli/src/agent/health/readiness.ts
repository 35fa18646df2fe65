import type { ObjectKind, WatchStatus } from '@pointsman/core'
import { describeError } from './describe-error.js'
import type { Health } from './health.js'
import { isDoubtful, type ProbeAnswer } from './proxy-health.js'

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
  /** What the agent began with, when it began with a log. */
  readonly startedFrom?: {
    readonly seq: number
    readonly at: string
    readonly rebooted: boolean
    /** After a reboot, before what the log says is confirmed by the API server. */
    readonly doubtful: boolean
  }
}

export interface ApiServerCheck {
  readonly ok: boolean
  readonly heardAt?: string
  readonly error?: string
}

export interface WatchCheck {
  readonly ok: boolean
  readonly kinds: {
    readonly [kind in ObjectKind]?: {
      readonly ok: boolean
      readonly phase: WatchStatus['phase']
      readonly heardAt?: string
      readonly error?: string
      readonly retryAt?: string
    }
  }
}

export interface AppliedCheck {
  readonly ok: boolean
  /** The last watch event, and the last one that is in the rules; absent: no sync has succeeded. */
  readonly head: number
  readonly applied?: number
  /** How long the oldest event that is not in the rules has waited. */
  readonly behindMs: number
  /** Why the last sync failed. */
  readonly error?: string
}

export interface AuditCheck {
  /** False: the tables could not be compared, or not be put right. What was found and put right is told, and good. */
  readonly ok: boolean
  readonly checkedAt?: string
  readonly lastDrift?: { readonly at: string; readonly chains: number }
  readonly error?: string
}

export interface ReadinessLimits {
  /** Milliseconds since 1970 UTC. */
  readonly now: number
  readonly kinds: readonly ObjectKind[]
  /** An event may be on its way to the rules for so long. */
  readonly behindMs: number
  /** A watch that is opened anew counts as fresh for so long after the last word. */
  readonly freshMs: number
}

export function readyz(health: Health, limits: ReadinessLimits): ProbeAnswer<Readiness> {
  const checks = {
    apiServer: apiServerCheck(health, limits),
    watch: watchCheck(health, limits),
    applied: appliedCheck(health, limits),
    audit: auditCheck(health),
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

function watchCheck({ watches, followed }: Health, { now, kinds, freshMs }: ReadinessLimits): WatchCheck {
  const checked = kinds.map((kind) => {
    const { phase = 'connecting', heardAt, error, retryAt } = watches[kind] ?? {}
    const isRecent = followed.includes(kind) && heardAt !== undefined && now - heardAt < freshMs
    const told = {
      ok: phase === 'watching' || isRecent,
      phase,
      ...(heardAt !== undefined && { heardAt: time(heardAt) }),
      ...(error && { error: error.message }),
      ...(retryAt !== undefined && { retryAt: time(retryAt) }),
    } as const
    return [kind, told] as const
  })
  return { ok: checked.every(([, { ok }]) => ok), kinds: Object.fromEntries(checked) }
}

function appliedCheck({ head, applied, unapplied, syncError }: Health, limits: ReadinessLimits): AppliedCheck {
  const behindMs = Math.max(0, limits.now - (unapplied[0]?.at ?? limits.now))
  return {
    ok: applied !== undefined && syncError === undefined && behindMs <= limits.behindMs,
    head,
    ...(applied !== undefined && { applied }),
    behindMs,
    ...(syncError !== undefined && { error: describeError(syncError) }),
  }
}

const auditCheck = ({ audit: { checkedAt, drift, error } }: Health): AuditCheck => ({
  ok: error === undefined,
  ...(checkedAt !== undefined && { checkedAt: time(checkedAt) }),
  ...(drift && { lastDrift: { at: time(drift.at), chains: drift.chains } }),
  ...(error !== undefined && { error: describeError(error) }),
})

function logStatus({ log }: Health): Readiness['log'] {
  if (log.type === 'ok') return { ok: true }
  const { code, message, unwritten, lost } = log
  return { ok: false, code, message, unwritten, lost }
}

const time = (ms: number): string => new Date(ms).toISOString()
