import { type Endpoint, endpointKey } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import { servicePortName, type ServiceName, type ServicePortName } from '../model/names.js'
import type { NodeInfo } from '../model/node.js'
import { seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import type { State } from '../state/state.js'

/**
 * A service port in few words: what is not said is as the API server defaults it. The family is that of the cluster IP.
 * An endpoint is `10.244.1.5:8080@node-a` (ready, on that node), or fields over that.
 */
export interface PortDescription extends Partial<
  Omit<ServicePort, 'id' | 'service' | 'namespace' | 'name' | 'portName'>
> {
  /** `shop/cart:http`, or `shop/cart` for an unnamed port. */
  readonly is: string
  readonly clusterIP: string
  readonly endpoints?: readonly (string | EndpointDescription)[]
}

export interface EndpointDescription extends Partial<Omit<Endpoint, 'address' | 'port' | 'nodeName'>> {
  /** `10.244.1.5:8080@node-a`. */
  readonly at: string
}

export interface StateDescription {
  readonly ports: readonly PortDescription[]
  readonly node?: Partial<NodeInfo>
  readonly seq?: number
  readonly serviceCidrs?: readonly string[]
}

/** A state from descriptions, without objects and without a fold. Throws where a description cannot be read: a slip in a test. */
export function stateOf({ ports, node, seq: position = 1, serviceCidrs = [] }: StateDescription): State {
  const described = ports.map((port) => ({ port: servicePortOf(port), endpoints: endpointsOf(port.endpoints ?? []) }))
  const nodeInfo = node && nodeInfoWith(node)
  return {
    seq: seq(position),
    ...(nodeInfo && { node: nodeInfo }),
    nodes: new Map(nodeInfo ? [[nodeInfo.name, nodeInfo]] : []),
    services: new Map(described.map(({ port }) => [port.id, port])),
    endpoints: new Map(
      described.filter(({ endpoints }) => endpoints.length > 0).map(({ port, endpoints }) => [port.id, endpoints]),
    ),
    serviceCidrs,
  }
}

/** node-a in zone-a, with 192.168.55.10, fd00:55::10 and a pod CIDR of each family, but for what is said otherwise. */
export function nodeInfoWith(fields: Partial<NodeInfo> = {}): NodeInfo {
  return {
    name: 'node-a',
    addresses: ['192.168.55.10', 'fd00:55::10'],
    podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'],
    zone: 'zone-a',
    taints: [],
    deleting: false,
    ...fields,
  }
}

export function servicePortOf({ is, endpoints: _, ...fields }: PortDescription): ServicePort {
  const match = /^([^/:]+)\/([^/:]+)(?::([^/:]+))?$/.exec(is)
  if (match === null) throw new Error(`not a service port such as shop/cart:http: ${is}`)
  const [, namespace = '', name = '', portName = ''] = match
  const service = `${namespace}/${name}` as ServiceName
  const protocol = fields.protocol ?? 'TCP'
  const family = fields.family ?? (fields.clusterIP.includes(':') ? 'IPv6' : 'IPv4')
  return {
    id: servicePortName({ service, portName, protocol, family }),
    service,
    namespace,
    name,
    portName,
    protocol,
    family,
    port: 80,
    nodePort: 0,
    externalIPs: [],
    loadBalancerVIPs: [],
    loadBalancerProxyIPs: [],
    loadBalancerSourceRanges: [],
    healthCheckNodePort: 0,
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    affinitySeconds: 0,
    createdAt: '2026-01-01T00:00:00Z',
    ...fields,
  }
}

/** Sorted by `endpointKey`, as a state holds them. */
export function endpointsOf(descriptions: readonly (string | EndpointDescription)[]): readonly Endpoint[] {
  const endpoints = descriptions.map((each) => endpointOf(typeof each === 'string' ? { at: each } : each))
  return endpoints.toSorted((a, b) => (endpointKey(a) < endpointKey(b) ? -1 : 1))
}

function endpointOf({ at, ...fields }: EndpointDescription): Endpoint {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)(?:@(.+))?$/.exec(at)
  const address = match?.[1] ?? match?.[2]
  if (match === null || address === undefined) throw new Error(`not an endpoint such as 10.244.1.5:8080@node-a: ${at}`)
  return {
    address,
    port: Number(match[3]),
    ready: true,
    serving: true,
    terminating: false,
    ...(match[4] !== undefined && { nodeName: match[4] }),
    ...fields,
  }
}

/** The service ports in which two states differ: what a backend is told between them. */
export function changedBetween(before: State, after: State): ReadonlySet<ServicePortName> {
  const names = new Set([...before.services.keys(), ...after.services.keys()])
  return new Set(
    [...names].filter(
      (name) =>
        !isEqual(before.services.get(name), after.services.get(name)) ||
        !isEqual(before.endpoints.get(name), after.endpoints.get(name)),
    ),
  )
}
