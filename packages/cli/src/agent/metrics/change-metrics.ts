import type { EngineReport, WatchEvent } from '@pointsman/core'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import { queuedFamilies } from '../health/queued-families.js'
import { EVENT_BUCKETS } from './buckets.js'
import type { MetricGroup } from './metric-context.js'
import { createPendingBySeq } from './pending-by-seq.js'

/** Changes on their way from the watches to the rules. */
export const changeMetrics: MetricGroup = ({ registry, families, clock }) => {
  const registers = [registry]
  const counted = {
    Service: {
      pending: new Gauge({
        name: 'kubeproxy_sync_proxy_rules_service_changes_pending',
        help: 'Changes of Services that are not in the rules yet.',
        registers,
      }),
      total: new Counter({
        name: 'kubeproxy_sync_proxy_rules_service_changes_total',
        help: 'Changes of Services that were seen.',
        registers,
      }),
      waiting: createPendingBySeq<undefined>(),
    },
    EndpointSlice: {
      pending: new Gauge({
        name: 'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
        help: 'Changes of EndpointSlices that are not in the rules yet.',
        registers,
      }),
      total: new Counter({
        name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
        help: 'Changes of EndpointSlices that were seen.',
        registers,
      }),
      waiting: createPendingBySeq<undefined>(),
    },
  }
  const lastQueued = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    help: 'When a sync was last asked for, in seconds since 1970.',
    labelNames: ['ip_family'] as const,
    registers,
  })
  const latency = new Histogram({
    name: 'pointsman_event_to_rules_seconds',
    help: 'From when a change was recorded to the end of the sync that carried it, in seconds.',
    buckets: EVENT_BUCKETS,
    registers,
  })
  /** When each was recorded. */
  const waiting = createPendingBySeq<number>()

  const countedOf = (event: WatchEvent) =>
    event.type === 'BOOKMARK' || event.object.kind === 'Node' ? undefined : counted[event.object.kind]

  const queue = ({ seq, event, at }: Extract<AgentEvent, { type: 'event' }>): void => {
    const kind = countedOf(event)
    const queued = queuedFamilies(event).filter((family) => families.includes(family))
    if (kind === undefined || queued.length === 0) return
    kind.total.inc()
    kind.waiting.add(seq, undefined)
    kind.pending.set(kind.waiting.size)
    waiting.add(seq, at)
    for (const ip_family of queued) lastQueued.set({ ip_family }, clock() / 1000)
  }

  const settle = ({ toSeq, endedAt }: EngineReport): void => {
    for (const kind of Object.values(counted)) {
      kind.waiting.takeUpTo(toSeq)
      kind.pending.set(kind.waiting.size)
    }
    for (const at of waiting.takeUpTo(toSeq)) latency.observe(Math.max(0, endedAt - at) / 1000)
  }

  return (event) => {
    if (event.type === 'start') for (const ip_family of families) lastQueued.set({ ip_family }, event.at / 1000)
    if (event.type === 'event') queue(event)
    if (event.type === 'engine' && event.report.type === 'synced') settle(event.report)
  }
}
