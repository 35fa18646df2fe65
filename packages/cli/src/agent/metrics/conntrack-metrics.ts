import { Counter, Histogram } from 'prom-client'
import { SYNC_BUCKETS } from './buckets.js'
import type { MetricGroup } from './metric-context.js'

/** UDP flows that lost their endpoint, after each sync. */
export const conntrackMetrics: MetricGroup = ({ registry, families }) => {
  const labelNames = ['ip_family'] as const
  const duration = new Histogram({
    name: 'kubeproxy_conntrack_reconciler_sync_duration_seconds',
    help: 'How long it took to look for UDP flows that lost their endpoint and to delete them, in seconds.',
    labelNames,
    buckets: SYNC_BUCKETS,
    registers: [registry],
  })
  const deleted = new Counter({
    name: 'kubeproxy_conntrack_reconciler_deleted_entries_total',
    help: 'UDP flows that were deleted because they had lost their endpoint.',
    labelNames,
    registers: [registry],
  })
  for (const ip_family of families) deleted.inc({ ip_family }, 0)

  return (event) => {
    if (event.type !== 'conntrack') return
    for (const { family, ...flows } of event.report.families ?? []) {
      duration.observe({ ip_family: family }, flows.durationMs / 1000)
      deleted.inc({ ip_family: family }, flows.deleted)
    }
  }
}
