import { type IpFamily, selectEndpoints, type State } from '@pointsman/core'
import { Gauge } from 'prom-client'
import type { MetricGroup } from './metric-context.js'

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
