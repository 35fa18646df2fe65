import { Counter } from 'prom-client'
import type { MetricGroup } from './metric-context.js'

/** What load balancers and the kubelet were told. */
export const probeMetrics: MetricGroup = ({ registry }) => {
  const counters = {
    healthz: new Counter({
      name: 'kubeproxy_proxy_healthz_total',
      help: 'Answers of /healthz on the health port, by status.',
      labelNames: ['code'] as const,
      registers: [registry],
    }),
    livez: new Counter({
      name: 'kubeproxy_proxy_livez_total',
      help: 'Answers of /livez on the health port, by status.',
      labelNames: ['code'] as const,
      registers: [registry],
    }),
  }
  return (event) => {
    if (event.type === 'probe') counters[event.path].inc({ code: String(event.status) })
  }
}
