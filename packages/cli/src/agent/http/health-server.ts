import type { AgentEvent } from '../agent-event.js'
import type { AgentHealth } from '../health/agent-health.js'
import { type Handler, jsonAnswer, NOT_FOUND } from './answer.js'
import { type RunningServer, type ServerOptions, startServer } from './start-server.js'

export interface HealthServerOptions extends Omit<ServerOptions, 'name' | 'field' | 'handler'> {
  readonly health: Pick<AgentHealth, 'healthz' | 'livez'>
  /** Told of each answer. */
  readonly onProbe: (event: Extract<AgentEvent, { type: 'probe' }>) => void
}

/** kube-proxy's health port, 10256: for load balancers, and for the kubelet. */
export function createHealthServer(options: HealthServerOptions): RunningServer {
  return startServer({ ...options, name: 'health', field: 'healthzBindAddress', handler: healthHandler(options) })
}

function healthHandler({ health, onProbe }: Pick<HealthServerOptions, 'health' | 'onProbe'>): Handler {
  return ({ path }) => {
    const probe = PROBES[path]
    if (probe === undefined) return NOT_FOUND
    const { status, body } = health[probe]()
    onProbe({ type: 'probe', path: probe, status })
    return jsonAnswer(status, body)
  }
}

const PROBES: Readonly<Record<string, 'healthz' | 'livez'>> = { '/healthz': 'healthz', '/livez': 'livez' }
