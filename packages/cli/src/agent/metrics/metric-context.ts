import type { DataplaneMetrics, IpFamily } from '@pointsman/core'
import { exponentialBuckets, linearBuckets, type Registry } from 'prom-client'
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

/** A group of metrics, registered; what it returns receives every event, and counts those it is about. */
export type MetricGroup = (context: MetricContext) => (event: AgentEvent) => void

/** Seconds, as kube-proxy 1.36 has them: 1 ms to 16.384 s. */
export const SYNC_BUCKETS = exponentialBuckets(0.001, 2, 15)

/** Seconds, as kube-proxy 1.36 has them: a quarter, a half, each second to 59, then wider, to five minutes. */
export const PROGRAMMING_BUCKETS = [
  ...linearBuckets(0.25, 0.25, 2),
  ...linearBuckets(1, 1, 59),
  ...linearBuckets(60, 5, 12),
  ...linearBuckets(120, 30, 7),
]

/** Seconds, as Kubernetes' clients have them since 1.24. */
export const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60]

/** Seconds from an event to its rules: finer than kube-proxy's around the least interval between syncs. */
export const EVENT_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.25, 1.5, 2, 3, 5, 10, 30, 60, 300]

/** Bytes: 256 to 64 Mi. */
export const BYTES_BUCKETS = exponentialBuckets(256, 4, 10)
