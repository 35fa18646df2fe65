import { frontsOf, selectEndpoints, type EndpointSelection, type Front, type ServicePort } from '@pointsman/core'
import type { InForce } from './in-force.js'
import { isOwnAddress } from './own-addresses.js'
import type { ReadPacket } from './packet.js'

/** A front that a packet is sent to. */
export interface MatchedFront {
  readonly servicePort: ServicePort
  readonly front: Front
  readonly selection: EndpointSelection
}

/**
 * Every front that a packet matches, in the order in which they are tried: fronts with an address of their own before
 * node ports, those of an older Service before those of a younger, and of one Service cluster IP, external IPs,
 * load-balancer VIPs. A node port matches on each of the node's own addresses, allowed or not.
 */
export function matchingFronts(inForce: InForce, packet: ReadPacket): readonly MatchedFront[] {
  const toNode = isOwnAddress(inForce.node, packet.to)
  const matched: MatchedFront[] = []
  for (const servicePort of servicePortsOn(inForce, packet)) {
    const fronts = frontsOf(servicePort).filter((front) => matches(front, packet, toNode))
    if (fronts.length === 0) continue
    const endpoints = inForce.endpoints.get(servicePort.id) ?? []
    const selection = selectEndpoints({ port: servicePort, endpoints, node: inForce.node })
    matched.push(...fronts.map((front) => ({ servicePort, front, selection })))
  }
  const isNodePort = ({ front }: MatchedFront): boolean => front.type === 'nodePort'
  return [...matched.filter((each) => !isNodePort(each)), ...matched.filter(isNodePort)]
}

/** Service ports that have the packet's port, oldest Service first. */
function servicePortsOn(inForce: InForce, { to, port, protocol }: ReadPacket): readonly ServicePort[] {
  const found: ServicePort[] = []
  for (const servicePort of inForce.services.values()) {
    if (servicePort.port !== port && servicePort.nodePort !== port) continue
    if (servicePort.protocol === protocol && servicePort.family === to.family) found.push(servicePort)
  }
  return found.sort(byAge)
}

function matches(front: Front, { to, port }: ReadPacket, toNode: boolean): boolean {
  return front.port === port && (front.type === 'nodePort' ? toNode : front.address === to.text)
}

function byAge(a: ServicePort, b: ServicePort): number {
  return compare(a.createdAt, b.createdAt) || compare(a.service, b.service) || compare(a.id, b.id)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
