import { cidrContains, type IpFamily, parseAddress, parseCidr } from '../model/address.js'
import {
  type EndpointSelection,
  isLocalEndpoint,
  selectEndpoints,
  type SelectionInput,
} from '../model/endpoint-selection.js'
import type { Endpoint } from '../model/endpoint.js'
import type { ServiceName } from '../model/names.js'
import { isExternallyAccessible, type ServicePort } from '../model/service-port.js'
import { type Front, frontsOf, type State } from './state.js'

/** What a service port's policies and endpoints mean for its traffic, whatever rules are made of it. */
export interface PortTraffic {
  readonly port: ServicePort
  readonly selection: EndpointSelection
  /** The policy whose endpoints serve the cluster IP. Undefined: there are none. */
  readonly internal: ServicePort['internalTrafficPolicy'] | undefined
  /** The policy whose endpoints serve external traffic in the end. Undefined: there are none. */
  readonly external: ServicePort['externalTrafficPolicy'] | undefined
  /** Whether external traffic is taken: also where only pods' and the node's own traffic has endpoints. */
  readonly takesExternal: boolean
  /** Whether source ranges guard the load balancer's addresses. */
  readonly isGuarded: boolean
  /**
   * What becomes of traffic for which there are no endpoints. None in the whole cluster: the sender gets a reject. None on
   * this node, and the policy is Local: dropped, because other nodes may have some, and a load balancer that was not told yet
   * goes on trying.
   */
  readonly refused: 'rejected' | 'dropped'
}

/** `endpoints` are those of the state, whatever their conditions. */
export function portTraffic({ port, endpoints, node }: SelectionInput): PortTraffic {
  const selection = selectEndpoints({ port, endpoints, node })
  const { hasEndpoints } = selection
  const served = <Policy extends 'Cluster' | 'Local'>(policy: Policy): Policy | undefined =>
    (policy === 'Cluster' ? hasEndpoints : selection.local.length > 0) ? policy : undefined
  return {
    port,
    selection,
    internal: served(port.internalTrafficPolicy),
    external: served(port.externalTrafficPolicy),
    takesExternal: hasEndpoints && isExternallyAccessible(port),
    isGuarded: hasEndpoints && port.loadBalancerVIPs.length > 0 && port.loadBalancerSourceRanges.length > 0,
    refused: hasEndpoints ? 'dropped' : 'rejected',
  }
}

/**
 * Addresses of the load balancer that are let in as sources beside the source ranges: a node that has one sends to it from the
 * address itself, so that they are where the node is. They are those of the port, unless a layout has others.
 */
export function vipsLetIn(
  {
    loadBalancerSourceRanges: ranges,
    loadBalancerVIPs: vips,
  }: Pick<ServicePort, 'loadBalancerSourceRanges' | 'loadBalancerVIPs'>,
  nodeIp: string,
): readonly string[] {
  const node = parseAddress(nodeIp)
  const isWithin = (range: string): boolean => {
    const cidr = parseCidr(range)
    return cidr !== undefined && node !== undefined && cidrContains(cidr, node)
  }
  return ranges.some(isWithin) ? vips : []
}

/** What becomes of what is sent to one front of a service port. */
export interface FrontTraffic {
  readonly front: Front
  /** Those that it is spread over, each with the same odds. */
  readonly endpoints: readonly Endpoint[]
  /** What becomes of it where there are no such endpoints: the sender gets an ICMP error, or nothing. */
  readonly refused?: 'rejected' | 'dropped'
  /** Those that processes of this node reach, where policy Local gives others fewer, and whether its pods do too. */
  readonly fromHere?: { readonly endpoints: readonly Endpoint[]; readonly pods: boolean }
  /** Sources that are let in; absent: all. */
  readonly sourceRanges?: readonly string[]
}

/** Of every front of a service port, in the order of `frontsOf`. `tellsPods`: traffic of this node's pods can be distinguished from others'. */
export const frontTrafficOf = (
  traffic: PortTraffic,
  { tellsPods }: { readonly tellsPods: boolean },
): readonly FrontTraffic[] =>
  frontsOf(traffic.port).map((front) =>
    front.type === 'clusterIP' ? internalOf(traffic, front) : externalOf(traffic, { front, tellsPods }),
  )

const internalOf = ({ internal, selection, refused }: PortTraffic, front: Front): FrontTraffic =>
  internal === undefined ? { front, endpoints: [], refused } : { front, endpoints: ofPolicy(internal, selection) }

function externalOf(
  { port, selection, external, takesExternal, isGuarded, refused }: PortTraffic,
  { front, tellsPods }: { readonly front: Front; readonly tellsPods: boolean },
): FrontTraffic {
  const guarded = isGuarded && front.type === 'loadBalancerIP'
  const isLocal = port.externalTrafficPolicy === 'Local'
  return {
    front,
    endpoints: external === undefined ? [] : ofPolicy(external, selection),
    ...(external === undefined && { refused }),
    // Where ranges guard the front, these have to be within them like everybody.
    ...(isLocal && takesExternal && !guarded && { fromHere: { endpoints: selection.cluster, pods: tellsPods } }),
    ...(guarded && { sourceRanges: port.loadBalancerSourceRanges }),
  }
}

const ofPolicy = (policy: 'Cluster' | 'Local', { cluster, local }: EndpointSelection): readonly Endpoint[] =>
  policy === 'Cluster' ? cluster : local

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
