import type { DataplaneMetrics, IpFamily } from '@pointsman/core'
import { Gauge, Registry } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import { changeMetrics, programmingMetrics } from './change-metrics.js'
import { type ProcessFigures, registerProcessMetrics } from './process-metrics.js'
import {
  conntrackMetrics,
  driftMetrics,
  localPolicyMetrics,
  registerPacketMetrics,
  syncMetrics,
} from './rule-metrics.js'
import { logMetrics, probeMetrics, requestMetrics, watchMetrics } from './watch-metrics.js'

interface AgentMetricsOptions {
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

/** What was built, of what, by what. */
interface BuildInfo {
  /** `0.1.0`. */
  readonly version: string
  /** `v20.20.2`: what runs it. */
  readonly runtimeVersion: string
  /** `linux/amd64`, as Go spells it. */
  readonly platform: string
  /** Absent: not known. */
  readonly commit?: string
  readonly builtAt?: string
}

/** The metric by which dashboards tell versions apart, with Kubernetes' labels and our values. */
function registerBuildInfo(registry: Registry, build: BuildInfo): void {
  const [major = '', minor = ''] = build.version.split('.')
  const labels = {
    major,
    minor,
    git_version: `v${build.version}`,
    git_commit: build.commit ?? '',
    git_tree_state: build.commit === undefined ? '' : 'clean',
    build_date: build.builtAt ?? '',
    go_version: `node${build.runtimeVersion.replace(/^v/, '')}`,
    compiler: 'node',
    platform: build.platform,
  }
  new Gauge({
    name: 'kubernetes_build_info',
    help: 'Always 1: the version of Pointsman, under the labels that Kubernetes has for its own.',
    labelNames: Object.keys(labels),
    registers: [registry],
  }).set(labels, 1)
}
