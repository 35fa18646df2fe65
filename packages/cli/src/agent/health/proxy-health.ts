import type { IpFamily } from '@pointsman/core'
import { CATCH_UP_MS, goTime, type Health } from './health.js'

/** What kube-proxy answers to health probes (ProxyHealth of kube-proxy 1.36), its members in that order. */
export interface ProxyHealthBody {
  readonly lastUpdated: string
  readonly currentTime: string
  /** Of /healthz alone. */
  readonly nodeEligible?: boolean
  readonly healthy: boolean
  readonly status?: { readonly [family in IpFamily]?: { readonly lastUpdated: string; readonly healthy: boolean } }
}

export interface ProbeAnswer<Body> {
  readonly status: 200 | 503
  readonly body: Body
}

interface Moment {
  /** Milliseconds since 1970 UTC. */
  readonly now: number
  /** A change that is not in the rules for so long is late. */
  readonly timeoutMs: number
}

/** Whether load balancers may send here: rules are written in time, the node stays, and what they say may be believed. */
export function healthz(health: Health, moment: Moment): ProbeAnswer<ProxyHealthBody> {
  const nodeEligible = health.node?.isEligible === true
  const healthy = isServing(health, moment)
  return answer(health, moment, { nodeEligible, healthy, isOk: nodeEligible && healthy })
}

/** Whether a restart could help: neither the node nor the API server has a part in it. */
export function livez(health: Health, moment: Moment): ProbeAnswer<ProxyHealthBody> {
  const healthy = isInTime(health, moment)
  return answer(health, moment, { healthy, isOk: healthy })
}

/** What health-check ports call a healthy service proxy: /healthz, whatever becomes of the node. */
export const isServing = (health: Health, moment: Moment): boolean =>
  isInTime(health, moment) && !isDoubtful(health, moment.now)

/**
 * After a reboot, pod addresses of the log may belong to others: nothing that it says is believed before all watches have
 * been there for two seconds, and what they said by then is in the rules.
 */
export function isDoubtful({ fromLog, caughtUp, applied }: Health, now: number): boolean {
  if (fromLog?.rebooted !== true) return false
  if (caughtUp === undefined || now < caughtUp.at + CATCH_UP_MS) return true
  return applied === undefined || applied < caughtUp.seq
}

interface Verdict {
  readonly nodeEligible?: boolean
  readonly healthy: boolean
  readonly isOk: boolean
}

function answer(
  health: Health,
  moment: Moment,
  { nodeEligible, healthy, isOk }: Verdict,
): ProbeAnswer<ProxyHealthBody> {
  const updates = health.families.flatMap((family) => health.proxiers[family].updatedAt ?? [])
  // Whoever is healthy is up to date, as kube-proxy has it for readers of old.
  const lastUpdated = isOk ? moment.now : updates.length === 0 ? undefined : Math.max(...updates)
  const status = statusOf(health, moment)
  return {
    status: isOk ? 200 : 503,
    body: {
      lastUpdated: goTime(lastUpdated),
      currentTime: goTime(moment.now),
      ...(nodeEligible !== undefined && { nodeEligible }),
      healthy,
      ...(Object.keys(status).length > 0 && { status }),
    },
  }
}

function statusOf(health: Health, moment: Moment): NonNullable<ProxyHealthBody['status']> {
  const known = health.families.toSorted().flatMap((family) => {
    const { updatedAt } = health.proxiers[family]
    if (updatedAt === undefined) return []
    return [[family, { lastUpdated: goTime(updatedAt), healthy: isFamilyInTime(health, family, moment) }] as const]
  })
  return Object.fromEntries(known)
}

const isInTime = (health: Health, moment: Moment): boolean =>
  health.families.every((family) => isFamilyInTime(health, family, moment))

function isFamilyInTime({ proxiers, initializedAt }: Health, family: IpFamily, { now, timeoutMs }: Moment): boolean {
  const [oldest] = proxiers[family].waiting
  if (oldest === undefined || initializedAt === undefined) return true
  return now - Math.max(oldest.at, initializedAt) < timeoutMs
}
