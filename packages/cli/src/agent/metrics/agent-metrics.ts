import type { DataplaneMetrics, IpFamily } from '@pointsman/core'
import { Registry } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import { type BuildInfo, registerBuildInfo } from './build-info.js'
import { changeMetrics } from './change-metrics.js'
import { conntrackMetrics } from './conntrack-metrics.js'
import { driftMetrics } from './drift-metrics.js'
import { localPolicyMetrics } from './local-policy-metrics.js'
import { logMetrics } from './log-metrics.js'
import { registerPacketMetrics } from './packet-metrics.js'
import { probeMetrics } from './probe-metrics.js'
import { type ProcessFigures, registerProcessMetrics } from './process-metrics.js'
import { programmingMetrics } from './programming-metrics.js'
import { requestMetrics } from './request-metrics.js'
import { syncMetrics } from './sync-metrics.js'
import { watchMetrics } from './watch-metrics.js'

export interface AgentMetricsOptions {
  readonly families: readonly IpFamily[]
  /** Milliseconds since 1970 UTC. */
  readonly clock: () => number
  readonly build: BuildInfo
  /** What only the data plane has. */
  readonly dataplane: DataplaneMetrics
  readonly readProcess: () => ProcessFigures
}

/** All metrics of an agent, in a registry of their own: a fold over what happens. `docs/metrics.md` lists each. */
export interface AgentMetrics {
  readonly on: (event: AgentEvent) => void
  readonly registry: Registry
}

export function createAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const { families, clock, build, dataplane, readProcess } = options
  const registry = new Registry()
  const groups = GROUPS.map((group) => group({ registry, families, clock, dataplane }))
  registerPacketMetrics(registry, dataplane)
  registerProcessMetrics(registry, readProcess)
  registerBuildInfo(registry, build)
  return {
    on: (event) => {
      for (const tell of groups) tell(event)
    },
    registry,
  }
}

const GROUPS = [
  syncMetrics,
  changeMetrics,
  programmingMetrics,
  localPolicyMetrics,
  conntrackMetrics,
  probeMetrics,
  requestMetrics,
  watchMetrics,
  driftMetrics,
  logMetrics,
]
