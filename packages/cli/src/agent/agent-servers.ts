import {
  configDocument,
  messageOf,
  nodePortAddressesOf,
  type AgentConfig,
  type SentInputs,
  type State,
} from '@pointsman/core'
import type { AgentEvent } from './agent-event.js'
import type { AgentHealth } from './health/readiness.js'
import { createConnectionLimit, descriptorShares } from './http/connection-limit.js'
import { createHealthCheckPorts } from './http/health-check-ports.js'
import type { RunningServer } from './http/http-server.js'
import { createHealthServer, createMetricsServer } from './http/metrics-server.js'
import { readProcessFigures, type AgentMetrics } from './metrics/agent-metrics.js'

export interface AgentServersOptions {
  readonly config: AgentConfig
  readonly health: AgentHealth
  readonly metrics: AgentMetrics
  /** kube-proxy's name of the data plane: `iptables`. */
  readonly mode: string
  /** Undefined: the data plane is not open yet. */
  readonly lastSent: () => SentInputs | undefined
  /** The state that is in force, and what the node's interfaces have. */
  readonly state: () => State
  readonly interfaceAddresses: () => readonly string[]
  readonly build: { readonly version: string; readonly runtimeVersion: string }
  /** Only an observer: health-check node ports are another program's. */
  readonly observe: boolean
  /** Flags in force, by name without dashes. */
  readonly flags: Readonly<Record<string, string>>
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
  readonly setVerbosity: (verbosity: number) => void
  readonly emit: (event: AgentEvent) => void
  readonly onWarning: (message: string) => void
}

export interface AgentServers {
  /** Receives the agent's events. */
  readonly on: (event: AgentEvent) => void
  /** Rejects when a server cannot listen and is to be the end (bindAddressHardFail); else never settles. */
  readonly failed: Promise<never>
  readonly close: () => Promise<void>
}

/** All that an agent serves over HTTP: health, metrics, and health-check node ports. */
export function startAgentServers(options: AgentServersOptions): AgentServers {
  const { config, health, metrics, now, onWarning } = options
  const startedAt = now()
  const shares = descriptorShares(readProcessFigures().maxFiles)
  const connections = createConnectionLimit({ maxConnections: shares.connections, onFull: onWarning })
  const common = {
    connections,
    hardFail: config.bindAddressHardFail,
    onRetry: (error: Error) => onWarning(`${error.message}; retrying`),
  }
  const servers: RunningServer[] = []
  const serve = (server: RunningServer, type: 'health' | 'metrics'): void => {
    servers.push(server)
    server.listening.catch((error: unknown) =>
      options.emit({ type: 'unserved', port: { type }, error: messageOf(error), at: now() }),
    )
  }
  if (config.healthzBindAddress !== undefined) {
    const address = config.healthzBindAddress
    serve(createHealthServer({ ...common, address, health, onProbe: options.emit }), 'health')
  }
  if (config.metricsBindAddress !== undefined) {
    serve(
      createMetricsServer({
        ...common,
        address: config.metricsBindAddress,
        answers: {
          registry: metrics.registry,
          readyz: health.readyz,
          configz: () => configDocument(config),
          flagz: () => options.flags,
          status: () => ({ ...options.build, startedAt, now: now() }),
          mode: options.mode,
          lastRestores: () => options.lastSent()?.succeeded() ?? [],
          lastFailed: () => options.lastSent()?.failed() ?? [],
          profiling: config.enableProfiling,
          setVerbosity: options.setVerbosity,
        },
      }),
      'metrics',
    )
  }
  const ports = options.observe
    ? undefined
    : createHealthCheckPorts({
        addresses: () => nodePortAddresses(options),
        isServing: health.isServing,
        onFailed: ({ reason, message, service, port, error }) => {
          onWarning(`${reason}: ${message}`)
          options.emit({ type: 'unserved', port: { type: 'service', service, port }, error, at: now() })
        },
        connections,
        maxListeners: shares.listeners,
      })
  const failed = Promise.race(servers.map(({ listening }) => listening.then(() => new Promise<never>(() => undefined))))
  // It may fail long before anybody asks.
  failed.catch(() => undefined)
  return {
    on: (event) => ports?.on(event),
    failed,
    close: async () => void (await Promise.all([ports?.close(), ...servers.map((server) => server.close())])),
  }
}

function nodePortAddresses({ config, state, interfaceAddresses }: AgentServersOptions): 'all' | readonly string[] {
  const { proxy } = config
  const known = { node: state().node, interfaceAddresses: interfaceAddresses() }
  const addresses = proxy.families.map((family) => nodePortAddressesOf(proxy, family, known))
  return addresses.includes('all') ? 'all' : addresses.flatMap((list) => (list === 'all' ? [] : list))
}
