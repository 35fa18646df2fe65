import { Counter, Histogram } from 'prom-client'
import { REQUEST_BUCKETS } from './buckets.js'
import type { MetricGroup } from './metric-context.js'

/** Requests to the API server, as Kubernetes' own clients count them. */
export const requestMetrics: MetricGroup = ({ registry }) => {
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server, by status, or <error> where no answer came.',
    labelNames: ['code', 'method', 'host'] as const,
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'How long requests to the API server took, in seconds.',
    labelNames: ['verb', 'host'] as const,
    buckets: REQUEST_BUCKETS,
    registers: [registry],
  })
  return (event) => {
    if (event.type !== 'request') return
    const { code, method, host, durationMs } = event.request
    requests.inc({ code, method, host })
    duration.observe({ verb: method, host }, durationMs / 1000)
  }
}
