import type { FamilySyncReport } from '@pointsman/backend-iptables'
import { Counter, Gauge, Histogram } from 'prom-client'
import { BYTES_BUCKETS, SYNC_BUCKETS } from './buckets.js'
import type { MetricGroup } from './metric-context.js'

/** What each family's part of each sync took, wrote and left. */
export const syncMetrics: MetricGroup = ({ registry, families, clock }) => {
  const registers = [registry]
  const labelNames = ['ip_family'] as const
  const duration = new Histogram({
    name: 'kubeproxy_sync_proxy_rules_duration_seconds',
    help: 'How long a sync of the rules took, in seconds.',
    labelNames,
    buckets: SYNC_BUCKETS,
    registers,
  })
  const fullDuration = new Histogram({
    name: 'kubeproxy_sync_full_proxy_rules_duration_seconds',
    help: 'How long a sync took that compared everything, in seconds.',
    labelNames,
    buckets: SYNC_BUCKETS,
    registers,
  })
  const partialDuration = new Histogram({
    name: 'kubeproxy_sync_partial_proxy_rules_duration_seconds',
    help: 'How long a sync took that rendered only what had changed, in seconds.',
    labelNames,
    buckets: SYNC_BUCKETS,
    registers,
  })
  const lastTimestamp = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    help: 'When a sync last succeeded, in seconds since 1970.',
    labelNames,
    registers,
  })
  const failures = new Counter({
    name: 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
    help: 'Restores that failed.',
    labelNames,
    registers,
  })
  const partialFailures = new Counter({
    name: 'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
    help: 'Restores of only what had changed that failed.',
    labelNames,
    registers,
  })
  const rules = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_iptables_total',
    help: 'Rules of ours in force after the last sync.',
    labelNames: ['table', 'ip_family'] as const,
    registers,
  })
  const written = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_iptables_last',
    help: 'Rules that the last sync wrote.',
    labelNames: ['table', 'ip_family'] as const,
    registers,
  })
  const restores = new Counter({
    name: 'pointsman_restores_total',
    help: 'Restores that were sent, failed ones included.',
    labelNames,
    registers,
  })
  const bytes = new Histogram({
    name: 'pointsman_sync_restore_bytes',
    help: 'Bytes of restores that a sync sent.',
    labelNames,
    buckets: BYTES_BUCKETS,
    registers,
  })
  for (const ip_family of families) for (const each of [failures, partialFailures, restores]) each.inc({ ip_family }, 0)

  const observe = (report: FamilySyncReport): void => {
    const labels = { ip_family: report.family }
    const seconds = report.durationMs / 1000
    duration.observe(labels, seconds)
    const kind = report.full ? fullDuration : partialDuration
    kind.observe(labels, seconds)
    failures.inc(labels, report.failures)
    partialFailures.inc(labels, report.partialFailures ?? (report.full ? 0 : report.failures))
    restores.inc(labels, report.restores)
    bytes.observe(labels, report.bytes)
    // kube-proxy has no rules in mangle but for its canary, and tells of these two alone.
    for (const table of ['filter', 'nat'] as const) {
      rules.set({ table, ...labels }, report.tables[table].rules)
      written.set({ table, ...labels }, report.tables[table].written)
    }
    if (report.error === undefined) lastTimestamp.set(labels, clock() / 1000)
  }

  return (event) => {
    if (event.type === 'family') observe(event.report)
  }
}
