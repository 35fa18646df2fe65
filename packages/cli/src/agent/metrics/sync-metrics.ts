import type { FamilySyncReport, SyncMetric } from '@pointsman/core'
import { Counter, Gauge, Histogram } from 'prom-client'
import { BYTES_BUCKETS, SYNC_BUCKETS } from './buckets.js'
import type { MetricContext, MetricGroup } from './metric-context.js'

/** What each family's part of each sync took, wrote and left. */
export const syncMetrics: MetricGroup = ({ registry, families, clock, dataplane }) => {
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
  const own = dataplane.syncs.map((metric) => registered(metric, { registry, families }))
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
  const refused = new Gauge({
    name: 'pointsman_refused_service_ports',
    help: 'Service ports that the last sync left as they were: no rules could be planned for them, or the kernel refuses them.',
    labelNames,
    registers,
  })
  for (const ip_family of families) refused.set({ ip_family }, 0)
  for (const ip_family of families) restores.inc({ ip_family }, 0)

  const observe = (report: FamilySyncReport): void => {
    const labels = { ip_family: report.family }
    const seconds = report.durationMs / 1000
    duration.observe(labels, seconds)
    const kind = report.full ? fullDuration : partialDuration
    kind.observe(labels, seconds)
    for (const tell of own) tell(report)
    restores.inc(labels, report.restores)
    refused.set(labels, report.refused ?? 0)
    bytes.observe(labels, report.bytes)
    if (report.error === undefined) lastTimestamp.set(labels, clock() / 1000)
  }

  return (event) => {
    if (event.type === 'family') observe(event.report)
  }
}

/** A metric that only the data plane has; counters begin at 0 for each family. */
function registered(
  { type, name, help, tables, value }: SyncMetric,
  { registry, families }: Pick<MetricContext, 'registry' | 'families'>,
): (report: FamilySyncReport) => void {
  const labelNames = tables === undefined ? ['ip_family'] : ['table', 'ip_family']
  const options = { name, help, labelNames, registers: [registry] }
  const labelled = (ip_family: string): readonly (readonly [string, Readonly<Record<string, string>>])[] =>
    tables === undefined ? [['', { ip_family }]] : tables.map((table) => [table, { table, ip_family }] as const)
  if (type === 'gauge') {
    const gauge = new Gauge(options)
    return (report) => {
      for (const [table, labels] of labelled(report.family)) gauge.set(labels, value(report, table))
    }
  }
  const counter = new Counter(options)
  for (const family of families) for (const [, labels] of labelled(family)) counter.inc(labels, 0)
  return (report) => {
    for (const [table, labels] of labelled(report.family)) counter.inc(labels, value(report, table))
  }
}
