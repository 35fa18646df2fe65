import type { IpFamily } from '../model/address.js'
import type { Endpoint } from '../model/endpoint.js'
import type { Protocol, ServicePortName } from '../model/names.js'
import type { NodeInfo } from '../model/node.js'
import type { Seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'

export type ServiceMap = ReadonlyMap<ServicePortName, ServicePort>
/** Endpoints of a service port, whatever their conditions, sorted by `endpointKey`. A port without any has no entry. */
export type EndpointsMap = ReadonlyMap<ServicePortName, readonly Endpoint[]>

/**
 * What a backend is to bring about: a fold over the log. Endpoints may be there for service ports that are not (a
 * slice whose Service another proxy serves); backends look endpoints up by service port.
 */
export interface State {
  /** The last watch-event record that is in it. */
  readonly seq: Seq
  /** The Node that the rules are for; absent while it has not been seen. */
  readonly node?: NodeInfo
  /** Every Node seen, by name: a recording may hold several. */
  readonly nodes: ReadonlyMap<string, NodeInfo>
  readonly services: ServiceMap
  readonly endpoints: EndpointsMap
  /**
   * The CIDRs that cluster IPs are allotted from, of both families: those of every ServiceCIDR, canonical and sorted, each once.
   * Empty: none were seen, which says nothing about which there are.
   */
  readonly serviceCidrs: readonly string[]
}

/** The Node that the rules are for: the named one, else the only one. */
export function nodeOfInterest(
  nodes: ReadonlyMap<string, NodeInfo>,
  nodeName: string | undefined,
): NodeInfo | undefined {
  if (nodeName !== undefined) return nodes.get(nodeName)
  return nodes.size === 1 ? [...nodes.values()][0] : undefined
}

/** An address and port that packets are sent to. */
export interface Front {
  readonly type: 'clusterIP' | 'externalIP' | 'loadBalancerIP' | 'nodePort'
  readonly family: IpFamily
  readonly protocol: Protocol
  /** Absent for a node port: the node's own addresses. */
  readonly address?: string
  readonly port: number
}

/** Every front of a service port: cluster IP, external IPs, load-balancer VIPs, node port. */
export function frontsOf(servicePort: ServicePort): readonly Front[] {
  const { family, protocol, port, nodePort } = servicePort
  const fronts: Front[] = [{ type: 'clusterIP', family, protocol, address: servicePort.clusterIP, port }]
  for (const address of servicePort.externalIPs) fronts.push({ type: 'externalIP', family, protocol, address, port })
  for (const address of servicePort.loadBalancerVIPs) {
    fronts.push({ type: 'loadBalancerIP', family, protocol, address, port })
  }
  if (nodePort !== 0) fronts.push({ type: 'nodePort', family, protocol, port: nodePort })
  return fronts
}

/** One text a front: equal fronts, of whichever Service, have equal keys. */
export const frontKey = ({ family, protocol, address, port }: Front): string =>
  `${protocol} ${address ?? `node ${family}`} ${port}`
