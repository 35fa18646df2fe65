import {
  type DataplaneMetrics,
  type FamilySyncReport,
  type IpFamily,
  selectEndpoints,
  type State,
  type SyncMetric,
} from '@pointsman/core'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { HeldPortsReport } from '../held-ports.js'
import { BYTES_BUCKETS, type MetricContext, type MetricGroup, SYNC_BUCKETS } from './metric-context.js'

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

/** What others have changed in our rules. */
export const driftMetrics: MetricGroup = ({ registry, families }) => {
  const registers = [registry]
  const labelNames = ['ip_family'] as const
  const checks = new Counter({
    name: 'pointsman_drift_checks_total',
    help: 'Comparisons of the tables with what was put there.',
    registers,
  })
  const failures = new Counter({
    name: 'pointsman_drift_failures_total',
    help: 'Comparisons that could not be made, or whose findings could not be put right.',
    registers,
  })
  const found = new Counter({
    name: 'pointsman_drift_found_total',
    help: 'Comparisons that found a difference.',
    labelNames,
    registers,
  })
  const mended = new Counter({
    name: 'pointsman_drift_mended_chains_total',
    help: 'Chains that were put right.',
    labelNames,
    registers,
  })
  const postponed = new Counter({
    name: 'pointsman_drift_checks_postponed_total',
    help: 'Comparisons that had to wait for the one before and the pause after it.',
    registers,
  })
  const waited = new Counter({
    name: 'pointsman_drift_checks_postponed_seconds_total',
    help: 'How long those waited, in seconds.',
    registers,
  })
  for (const ip_family of families) for (const each of [found, mended]) each.inc({ ip_family }, 0)

  return (event) => {
    if (event.type !== 'drift') return
    checks.inc()
    const { waitedMs = 0 } = event
    if (waitedMs > 0) {
      postponed.inc()
      waited.inc(waitedMs / 1000)
    }
    if (event.error !== undefined) failures.inc()
    for (const { family, chains } of event.drifts) {
      found.inc({ ip_family: family })
      mended.inc({ ip_family: family }, chains.length)
    }
  }
}

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

/**
 * Packets that rules of the data plane met, read from the kernel on request. What cannot be read is left out, as in kube-proxy.
 */
export function registerPacketMetrics(
  registry: Registry,
  { packets: metrics, readPackets }: Pick<DataplaneMetrics, 'packets' | 'readPackets'>,
): void {
  let reading: Promise<Readonly<Record<string, number>>> | undefined
  /** One reading for all that is asked for at a time: it costs a process. */
  const readOnce = async (): Promise<Readonly<Record<string, number>>> => {
    try {
      return await (reading ??= readPackets())
    } catch {
      return {}
    } finally {
      reading = undefined
    }
  }

  for (const { name, help, key } of metrics) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect: async () => {
        const packets = (await readOnce())[key]
        counter.reset()
        if (packets === undefined) counter.remove({})
        else counter.inc(packets)
      },
    })
  }
}

/** Node ports and external IPs that are held open, so that no other process takes them. */
export const heldPortMetrics: MetricGroup = ({ registry, families }) => {
  const labelNames = ['ip_family'] as const
  const held = new Gauge({
    name: 'pointsman_held_ports',
    help: 'Node ports and external IPs that are held open, so that no other process takes them.',
    labelNames,
    registers: [registry],
  })
  const failed = new Gauge({
    name: 'pointsman_unheld_ports',
    help: 'Node ports and external IPs that should be held open and cannot be: other processes have them.',
    labelNames,
    registers: [registry],
  })
  const set = (ports: Pick<HeldPortsReport, 'held' | 'failed'>): void => {
    for (const ip_family of families) {
      held.set({ ip_family }, ports.held.filter(({ family }) => family === ip_family).length)
      failed.set({ ip_family }, ports.failed.filter(({ port }) => port.family === ip_family).length)
    }
  }
  set({ held: [], failed: [] })
  return (event) => {
    if (event.type === 'ports') set(event.report)
  }
}

/** Service ports whose packets this node drops: policy Local, and no endpoint but on other nodes. */
export const localPolicyMetrics: MetricGroup = ({ registry, families }) => {
  const gauge = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    help: 'Service ports with a traffic policy Local that have endpoints, and none on this node.',
    labelNames: ['ip_family', 'traffic_policy'] as const,
    registers: [registry],
  })
  return (event) => {
    if (event.type !== 'engine' || event.report.type !== 'synced') return
    for (const ip_family of families) {
      const { internal, external } = withoutLocalEndpoints(event.state, ip_family)
      gauge.set({ ip_family, traffic_policy: 'internal' }, internal)
      gauge.set({ ip_family, traffic_policy: 'external' }, external)
    }
  }
}

/** A port with both policies counts for both, as in kube-proxy. */
function withoutLocalEndpoints(
  { services, endpoints, node }: State,
  family: IpFamily,
): { readonly internal: number; readonly external: number } {
  let internal = 0
  let external = 0
  for (const port of services.values()) {
    const isInternal = port.internalTrafficPolicy === 'Local'
    const isExternal = port.externalTrafficPolicy === 'Local'
    if (port.family !== family || !(isInternal || isExternal)) continue
    const { hasEndpoints, local } = selectEndpoints({ port, endpoints: endpoints.get(port.id) ?? [], node })
    if (!hasEndpoints || local.length > 0) continue
    if (isInternal) internal++
    if (isExternal) external++
  }
  return { internal, external }
}
