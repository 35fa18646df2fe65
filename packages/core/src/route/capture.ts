import { cidrContains, parseAddress } from '../model/address.js'
import { assertNever } from '../model/assert-never.js'
import { selectEndpoints, type EndpointSelection } from '../model/endpoint-selection.js'
import type { Endpoint } from '../model/endpoint.js'
import type { ServicePort } from '../model/service-port.js'
import { frontsOf, type Front } from '../state/fronts.js'
import { cidrsOfFamily, isOwnAddress, nodeIpOf, nodePortsAnswerOn } from './own-addresses.js'
import type { ReadPacket } from './packet.js'
import { sourceIsIn, type InForce, type Way } from './source.js'

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

/** Endpoints that a front gives a packet to. Never none. */
export interface Capture {
  readonly endpoints: readonly Endpoint[]
  /** All of it is masqueraded; else only what comes back to its sender is. */
  readonly masquerade: boolean
  /** Goes on from "... sends it to 2 endpoints,". */
  readonly because: string
}

/** What a front does with a packet that matches it; undefined: nothing, and other fronts may still take the packet. */
export function captureBy(matched: MatchedFront, way: Way): Capture | undefined {
  const capture = intended(matched, way)
  return capture !== undefined && capture.endpoints.length > 0 ? capture : undefined
}

/** Whether a front has source ranges at work: those of a load-balancer VIP, where the Service has endpoints at all. */
export const isGuarded = ({ servicePort, front, selection }: MatchedFront): boolean =>
  front.type === 'loadBalancerIP' && selection.hasEndpoints && servicePort.loadBalancerSourceRanges.length > 0

/**
 * Whether the source ranges of a load-balancer VIP turn the packet away. Where they let the node in, they let the
 * VIPs in as well: a node that bears the VIP sends from it.
 */
export function isRefused(matched: MatchedFront, { inForce, config, source }: Way): boolean {
  const { servicePort } = matched
  const ranges = cidrsOfFamily(servicePort.loadBalancerSourceRanges, servicePort.family)
  if (!isGuarded(matched) || sourceIsIn(ranges, source)) return false
  const nodeIp = parseAddress(nodeIpOf(inForce.node, servicePort.family, config) ?? '')
  const nodeIsLetIn = nodeIp !== undefined && ranges.some((range) => cidrContains(range, nodeIp))
  return !(nodeIsLetIn && source.address !== undefined && servicePort.loadBalancerVIPs.includes(source.address.text))
}

function intended(matched: MatchedFront, way: Way): Capture | undefined {
  switch (matched.front.type) {
    case 'clusterIP':
      return internal(matched, way)
    case 'externalIP':
      return external(matched, way)
    case 'loadBalancerIP':
      return isRefused(matched, way) ? undefined : external(matched, way)
    case 'nodePort':
      return nodePortsAnswerOn({ node: way.inForce.node, config: way.config }, way.packet.to)
        ? external(matched, way)
        : undefined
    default:
      return assertNever(matched.front.type)
  }
}

function internal({ servicePort, selection }: MatchedFront, { config, source }: Way): Capture {
  const local = servicePort.internalTrafficPolicy === 'Local'
  return {
    endpoints: local ? selection.local : selection.cluster,
    masquerade: config.masqueradeAll || source.localPod === false,
    because: local ? 'those on this node (internalTrafficPolicy Local)' : 'by its cluster IP',
  }
}

/** External, load-balancer and node-port traffic (https://kubernetes.io/docs/reference/networking/virtual-ips/#external-traffic-policy). */
function external({ servicePort, selection }: MatchedFront, { source }: Way): Capture {
  if (servicePort.externalTrafficPolicy === 'Cluster') {
    return { endpoints: selection.cluster, masquerade: true, because: 'whatever their node' }
  }
  // As if it had gone out to a load balancer that chose the node for it.
  if (source.localPod === true) {
    return { endpoints: selection.cluster, masquerade: false, because: 'whatever their node: a pod of this node asks' }
  }
  if (source.own) {
    return { endpoints: selection.cluster, masquerade: true, because: 'whatever their node: the node itself asks' }
  }
  return { endpoints: selection.local, masquerade: false, because: 'those on this node (externalTrafficPolicy Local)' }
}
