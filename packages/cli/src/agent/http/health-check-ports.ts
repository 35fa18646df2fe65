import type { Server } from 'node:http'
import { healthCheckedServices, type ServiceName, type HealthCheckedService } from '@pointsman/core'
import type { AgentEvent } from '../agent-event.js'
import { describeError } from '../health/health.js'
import {
  type Answer,
  closeServer,
  formatBindAddress,
  httpServer,
  jsonAnswer,
  listen,
  NOT_FOUND,
} from './http-server.js'
import type { ConnectionLimit } from './connection-limit.js'

export interface HealthCheckPortsOptions {
  /** Addresses of the node that node ports answer on (nodePortAddresses), asked at each change. */
  readonly addresses: () => 'all' | readonly string[]
  /** Whether the proxy is healthy, asked for each answer. */
  readonly isServing: () => boolean
  /** Told once of a port that cannot be opened: kube-proxy's event FailedToStartServiceHealthcheck. */
  readonly onFailed: (failure: FailedPort) => void
  readonly connections: ConnectionLimit
  /** Listening sockets that all ports may have together: each takes a file descriptor. */
  readonly maxListeners: number
}

export interface FailedPort {
  readonly reason: 'FailedToStartServiceHealthcheck'
  readonly service: ServiceName
  readonly port: number
  readonly message: string
  /** The cause alone. */
  readonly error: string
}

/** The health-check node ports of all Services: open as long as rules send load balancers' traffic here. */
export interface HealthCheckPorts {
  /** Follows what syncs have brought into force. What cannot be opened is tried again after each. */
  readonly on: (event: AgentEvent) => void
  /** When all that was asked for is open or closed. */
  readonly settled: () => Promise<void>
  readonly close: () => Promise<void>
}

export function createHealthCheckPorts(options: HealthCheckPortsOptions): HealthCheckPorts {
  const { addresses, isServing, onFailed, connections, maxListeners } = options
  let wanted: ReadonlyMap<ServiceName, HealthCheckedService> = new Map()
  const open = new Map<ServiceName, OpenPort>()
  /** What was last logged of each port that could not be opened. */
  const told = new Map<ServiceName, string>()
  let settled = Promise.resolve()
  let listeners = 0

  const close = async (servers: readonly Server[]): Promise<void> => {
    await Promise.all(servers.map(closeServer))
    listeners -= servers.length
  }

  const answer = (service: ServiceName): Answer => {
    const checked = wanted.get(service)
    return checked === undefined ? NOT_FOUND : portAnswer(checked, isServing())
  }

  const openPort = async ({ service, port }: HealthCheckedService, hosts: readonly string[]): Promise<void> => {
    const servers: Server[] = []
    try {
      for (const host of hosts) {
        if (listeners >= maxListeners) throw new Error(tooManyListeners(maxListeners))
        const server = httpServer(() => answer(service), connections)
        await listen(server, { host, port })
        servers.push(server)
        listeners++
      }
      open.set(service, { key: keyOf(port, hosts), servers })
      told.delete(service)
    } catch (error) {
      // All or none, so that what is open tells nothing of an address that is not.
      await close(servers)
      const at = formatBindAddress({ host: hosts[servers.length] ?? '0.0.0.0', port })
      const message = `cannot open the health-check node port of ${service} at ${at}: ${describeError(error)}`
      if (told.get(service) === message) return
      told.set(service, message)
      onFailed({ reason: 'FailedToStartServiceHealthcheck', service, port, message, error: describeError(error) })
    }
  }

  const closePort = async (service: ServiceName): Promise<void> => {
    const { servers = [] } = open.get(service) ?? {}
    open.delete(service)
    await close(servers)
  }

  /** Brings the ports in step with what is wanted by now: one after the other, as a port may go from one Service to another. */
  const reconcile = async (): Promise<void> => {
    const given = addresses()
    const hosts = given === 'all' ? ['0.0.0.0'] : given
    for (const [service, { key }] of open) {
      const one = wanted.get(service)
      if (one === undefined || keyOf(one.port, hosts) !== key) await closePort(service)
    }
    for (const service of told.keys()) if (!wanted.has(service)) told.delete(service)
    for (const one of wanted.values()) if (!open.has(one.service)) await openPort(one, hosts)
  }

  const want = (services: readonly HealthCheckedService[]): Promise<void> => {
    wanted = new Map(services.map((one) => [one.service, one]))
    settled = settled.then(reconcile)
    return settled
  }

  return {
    on(event) {
      if (event.type === 'engine' && event.report.type === 'synced') void want(healthCheckedServices(event.state))
    },
    settled: () => settled,
    close: () => want([]),
  }
}

const tooManyListeners = (most: number): string =>
  `${most} health-check sockets are open, the maximum for this limit of open files: raise RLIMIT_NOFILE (ulimit -n)`

interface OpenPort {
  /** What it was opened for. */
  readonly key: string
  readonly servers: readonly Server[]
}

const keyOf = (port: number, hosts: readonly string[]): string => `${port} ${hosts.join(' ')}`

/** kube-proxy's answer, byte for byte. */
function portAnswer({ namespace, name, localEndpoints }: HealthCheckedService, serviceProxyHealthy: boolean): Answer {
  const status = localEndpoints > 0 && serviceProxyHealthy ? 200 : 503
  const answer = jsonAnswer(status, { service: { namespace, name }, localEndpoints, serviceProxyHealthy }, '\t')
  return { ...answer, headers: { ...answer.headers, 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints) } }
}
