import type { DataplaneMetrics, IpFamily } from '@pointsman/core'
import type { Registry } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'

/** What a group of metrics is made with. */
export interface MetricContext {
  readonly registry: Registry
  readonly families: readonly IpFamily[]
  /** Milliseconds since 1970 UTC. */
  readonly clock: () => number
  /** What only this data plane has. */
  readonly dataplane: DataplaneMetrics
}

/** A group of metrics, registered; what it gives is told everything that happens, and counts what it is about. */
export type MetricGroup = (context: MetricContext) => (event: AgentEvent) => void
