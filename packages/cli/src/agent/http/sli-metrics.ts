import { Counter, Gauge, Registry } from 'prom-client'
import { type Handler, textAnswer } from './answer.js'

/** kube-proxy's service-level indicators: how its own health check was answered, in a registry of their own. */
export interface SliMetrics {
  /** The check was made, and good. */
  readonly count: () => void
  /** Answers with the metrics; DELETE makes them begin anew. */
  readonly handler: Handler
}

export function createSliMetrics(): SliMetrics {
  const registry = new Registry()
  const registers = [registry]
  const last = new Gauge({
    name: 'kubernetes_healthcheck',
    help: '1 if the last health check succeeded, else 0.',
    labelNames: ['name', 'type'] as const,
    registers,
  })
  const all = new Counter({
    name: 'kubernetes_healthchecks_total',
    help: 'Number of health checks by status.',
    labelNames: ['name', 'status', 'type'] as const,
    registers,
  })
  return {
    count() {
      last.set({ name: 'ping', type: 'healthz' }, 1)
      all.inc({ name: 'ping', status: 'success', type: 'healthz' })
    },
    async handler({ method }) {
      if (method !== 'DELETE') return metricsAnswer(registry)
      registry.resetMetrics()
      return textAnswer(200, 'metrics reset\n')
    },
  }
}

export const metricsAnswer = async (registry: Registry) => ({
  status: 200,
  headers: { 'Content-Type': registry.contentType },
  body: await registry.metrics(),
})
