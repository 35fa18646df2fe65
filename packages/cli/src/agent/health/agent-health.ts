import { type IpFamily, OBJECT_KINDS, type ObjectKind } from '@pointsman/core'
import type { AgentEvent } from '../agent-event.js'
import { type Health, initialHealth, nextHealth } from './health.js'
import { healthz, isServing, livez, type ProbeAnswer, type ProxyHealthBody } from './proxy-health.js'
import { type Readiness, readyz } from './readiness.js'

export interface AgentHealthOptions {
  readonly families: readonly IpFamily[]
  readonly syncPeriodMs: number
  readonly minSyncPeriodMs: number
  /** The agent's Node; absent: whichever is watched. */
  readonly nodeName?: string
  /** What is watched. Default: all kinds. */
  readonly kinds?: readonly ObjectKind[]
  /** Milliseconds since 1970 UTC. */
  readonly clock: () => number
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
  const { syncPeriodMs, minSyncPeriodMs, kinds = OBJECT_KINDS, clock } = options
  const foldOptions = { ...options, kinds }
  let health: Health = initialHealth(foldOptions)
  // kube-proxy's, which is on time twice as long as it may take to try again.
  const moment = () => ({ now: clock(), timeoutMs: 2 * syncPeriodMs })

  return {
    on: (event) => void (health = nextHealth(health, event, foldOptions)),
    healthz: () => healthz(health, moment()),
    livez: () => livez(health, moment()),
    readyz: () =>
      readyz(health, { now: clock(), kinds, behindMs: minSyncPeriodMs + SYNC_ALLOWANCE_MS, freshMs: FRESH_MS }),
    isServing: () => isServing(health, moment()),
  }
}

/** What a sync may take before events that wait for it are called behind. */
const SYNC_ALLOWANCE_MS = 5000
const FRESH_MS = 30_000
