import type { IpFamily } from '../model/address.js'
import { isLocalEndpoint } from '../model/endpoint-selection.js'
import type { ServiceName } from '../model/names.js'
import type { State } from './state.js'

/** A Service that load balancers ask each node about. */
export interface HealthCheckedService {
  readonly service: ServiceName
  readonly namespace: string
  readonly name: string
  readonly port: number
  /** Ready endpoints on this node: addresses, whatever their ports. */
  readonly localEndpoints: number
}

/**
 * Which Services have a health-check node port, and how many endpoints here. As kube-proxy counts: ready ones only, so that
 * a node with nothing but terminating endpoints gets no new connections, and an address once, however many ports it has
 * (LocalReadyEndpoints of kube-proxy 1.36). There each family has a proxier with a map and a health-check server of its own,
 * so that a Pod of two families never counts twice. Here one port answers for both: the family with more endpoints counts.
 */
export function healthCheckedServices({
  services,
  endpoints,
  node,
}: Pick<State, 'services' | 'endpoints' | 'node'>): readonly HealthCheckedService[] {
  const checked = new Map<ServiceName, Checked>()
  for (const port of services.values()) {
    if (port.healthCheckNodePort === 0) continue
    const { service, namespace, name, healthCheckNodePort, family } = port
    const entry = checked.get(service) ?? { service, namespace, name, port: healthCheckNodePort, ...noAddresses() }
    checked.set(service, entry)
    for (const endpoint of endpoints.get(port.id) ?? [])
      if (endpoint.ready && isLocalEndpoint(endpoint, node)) entry.addresses[family].add(endpoint.address)
  }
  return [...checked.values()].map(({ addresses, ...service }) => ({
    ...service,
    localEndpoints: Math.max(addresses.IPv4.size, addresses.IPv6.size),
  }))
}

interface Checked extends Omit<HealthCheckedService, 'localEndpoints'> {
  readonly addresses: Readonly<Record<IpFamily, Set<string>>>
}

const noAddresses = (): Pick<Checked, 'addresses'> => ({ addresses: { IPv4: new Set(), IPv6: new Set() } })
