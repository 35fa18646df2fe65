import { cidrContains, parseAddress, type IpAddress } from '../model/address.js'
import { selectEndpoints, type EndpointSelection } from '../model/endpoint-selection.js'
import type { Endpoint } from '../model/endpoint.js'
import { assertNever } from '../model/language.js'
import { displayName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { frontsOf, type Front } from '../state/state.js'
import {
  cidrsOfFamily,
  hasLocalhostNodePorts,
  isLoopback,
  isOwnAddress,
  nodeIpOf,
  nodePortsAnswerOn,
  sourceIsIn,
  type InForce,
  type ReadPacket,
  type Way,
} from './source.js'

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
interface Capture {
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

/** Whether a front has source ranges at work: those of a load-balancer VIP; in some modes only where the Service has endpoints at all. */
const isGuarded = ({ servicePort, front, selection }: MatchedFront, { semantics }: Pick<Way, 'semantics'>): boolean =>
  front.type === 'loadBalancerIP' &&
  servicePort.loadBalancerSourceRanges.length > 0 &&
  (selection.hasEndpoints || semantics.sourceRanges === 'first')

/**
 * Whether the source ranges of a load-balancer VIP turn the packet away. Where they let the node in, they let the
 * VIPs in as well: a node that has the VIP sends from it.
 */
function isRefused(matched: MatchedFront, way: Way): boolean {
  const { servicePort } = matched
  const { inForce, config, source } = way
  const ranges = cidrsOfFamily(servicePort.loadBalancerSourceRanges, servicePort.family)
  if (!isGuarded(matched, way) || sourceIsIn(ranges, source)) return false
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
    return { endpoints: selection.cluster, masquerade: true, because: 'on any node' }
  }
  // As if it had gone out to a load balancer that chose the node for it.
  if (source.localPod === true) {
    return { endpoints: selection.cluster, masquerade: false, because: 'on any node, as for every pod of this node' }
  }
  if (source.own) {
    return { endpoints: selection.cluster, masquerade: true, because: 'on any node, as for the node itself' }
  }
  return { endpoints: selection.local, masquerade: false, because: 'those on this node (externalTrafficPolicy Local)' }
}

export type Verdict = 'endpoints' | 'rejected' | 'dropped' | 'no-service'

export interface Fate {
  readonly verdict: Exclude<Verdict, 'endpoints'>
  readonly reason: string
  readonly decidedBy?: MatchedFront
}

/** The fate of a packet that source ranges turn away before any front is asked, in modes that have it so. */
export function refusedFirst(fronts: readonly MatchedFront[], way: Way): Fate | undefined {
  if (way.semantics.sourceRanges !== 'first') return undefined
  const decidedBy = fronts.find((matched) => isRefused(matched, way))
  return decidedBy && outOfRanges(decidedBy, way)
}

function outOfRanges(decidedBy: MatchedFront, { source }: Way): Fate {
  const reason = `${source.name} is not in the source ranges of ${displayName(decidedBy.servicePort)}`
  return { verdict: 'dropped', reason, decidedBy }
}

/**
 * What becomes of a packet that no front gave to an endpoint. The first that holds, in the order in which the node
 * asks: source ranges; cluster IPs, for what the node forwards or sends; the node's own doors; external fronts, for what
 * the node forwards or takes in. A packet of the node to an address of its own is both sent and taken in. Modes that refuse on
 * every way make no difference between what is sent, forwarded and taken in.
 */
export function fateOfUncaptured(fronts: readonly MatchedFront[], way: Way): Fate {
  return (
    strayLoopback(way) ??
    refusedByRanges(fronts, way) ??
    clusterIpWithoutEndpoints(fronts, way) ??
    (way.semantics.healthChecksFirst ? healthCheck(way) : undefined) ??
    externalWithoutEndpoints(fronts, way) ??
    unusedClusterAddress(way) ??
    healthCheck(way) ??
    noService(fronts, way)
  )
}

/** Loopback is for the node alone: what comes to it from elsewhere, or from another address, gets no further. */
function strayLoopback({ packet, source, config, inForce }: Way): Fate | undefined {
  if (!isLoopback(packet.to) || isLoopbackSource(source.address)) return undefined
  const guarded = packet.to.family === 'IPv4' && hasLocalhostNodePorts({ node: inForce.node, config })
  if (source.own && !guarded) return undefined
  return {
    verdict: 'dropped',
    reason: `${packet.to.text} is a loopback address, which accepts nothing from ${source.name}`,
  }
}

const isLoopbackSource = (address: IpAddress | undefined): boolean => address !== undefined && isLoopback(address)

function refusedByRanges(fronts: readonly MatchedFront[], way: Way): Fate | undefined {
  if (way.semantics.sourceRanges === 'first') return undefined
  const decidedBy = fronts.find((matched) => isGuarded(matched, way))
  if (decidedBy === undefined) return undefined
  // Let in, and yet not taken: the packet ends at the same guard, which asks for no more than that.
  if (!isRefused(decidedBy, way)) return withoutEndpoints(decidedBy, 'externalTrafficPolicy')
  return outOfRanges(decidedBy, way)
}

function clusterIpWithoutEndpoints(fronts: readonly MatchedFront[], way: Way): Fate | undefined {
  if (way.toNode && !way.source.own && !way.semantics.refusesOnEveryWay) return undefined
  const decidedBy = fronts.find(({ front }) => front.type === 'clusterIP')
  return decidedBy && withoutEndpoints(decidedBy, 'internalTrafficPolicy')
}

/** The proxy's own answer for load balancers: let in before anything can refuse it. */
function healthCheck({ inForce, packet, toNode }: Way): Fate | undefined {
  if (!toNode || packet.protocol !== 'TCP') return undefined
  for (const { healthCheckNodePort, family, service } of inForce.services.values()) {
    if (healthCheckNodePort !== packet.port || family !== packet.to.family) continue
    const reason = `${packet.port} is the health-check node port of ${service}, which the proxy itself answers`
    return { verdict: 'no-service', reason }
  }
  return undefined
}

function externalWithoutEndpoints(fronts: readonly MatchedFront[], way: Way): Fate | undefined {
  const { packet, source, toNode, semantics } = way
  const decidedBy = fronts.find(
    (matched) => isExternal(matched) && lacksEndpoints(matched) && !isClosedNodePort(matched, way),
  )
  if (decidedBy === undefined) return undefined
  if (toNode || !source.own || semantics.refusesOnEveryWay) return withoutEndpoints(decidedBy, 'externalTrafficPolicy')
  const name = displayName(decidedBy.servicePort)
  const reason = `${name} has no endpoints, and the node's own packet to ${packet.to.text} goes out unchanged`
  return { verdict: 'no-service', reason, decidedBy }
}

/** A node port on an address where none answers, in modes that do not refuse there either. */
const isClosedNodePort = ({ front }: MatchedFront, { semantics, inForce, config, packet }: Way): boolean =>
  front.type === 'nodePort' &&
  semantics.refusesWhereNodePortsAnswer &&
  !nodePortsAnswerOn({ node: inForce.node, config }, packet.to)

/**
 * What is sent, by the node or through it, to a port that the Service at a cluster IP does not have, or to an address that
 * could be a cluster IP and is none.
 */
function unusedClusterAddress({ inForce, packet, source, toNode, semantics }: Way): Fate | undefined {
  const { to, port, protocol } = packet
  if (toNode && !source.own) return undefined
  const ofAll = semantics.rejectsUnusedPorts === 'of-all-addresses'
  for (const servicePort of semantics.rejectsUnusedPorts === 'none' ? [] : inForce.services.values()) {
    const { clusterIP, externalIPs, loadBalancerVIPs, family, service } = servicePort
    const addresses = ofAll ? [clusterIP, ...externalIPs, ...loadBalancerVIPs] : [clusterIP]
    if (family !== to.family || !addresses.includes(to.text)) continue
    const which = ofAll ? "a Service's addresses" : 'cluster IPs'
    const reason = `${service} at ${to.text} has no port ${port} of ${protocol}, and unused ports of ${which} are rejected`
    return { verdict: 'rejected', reason }
  }
  if (!semantics.dropsUnallocated) return undefined
  const cidr = cidrsOfFamily(inForce.serviceCidrs ?? [], to.family).find((each) => cidrContains(each, to))
  if (cidr === undefined) return undefined
  return { verdict: 'dropped', reason: `no Service has ${to.text}, which lies in the ServiceCIDR ${cidr.text}` }
}

const isExternal = ({ front }: MatchedFront): boolean => front.type !== 'clusterIP'

/** None anywhere, or none on this node where that is what external traffic needs. */
const lacksEndpoints = ({ servicePort, selection }: MatchedFront): boolean =>
  !selection.hasEndpoints || (servicePort.externalTrafficPolicy === 'Local' && selection.local.length === 0)

function withoutEndpoints(decidedBy: MatchedFront, policy: 'internalTrafficPolicy' | 'externalTrafficPolicy'): Fate {
  const name = displayName(decidedBy.servicePort)
  return decidedBy.selection.hasEndpoints
    ? { verdict: 'dropped', reason: `${name} has no endpoints on this node (${policy} Local)`, decidedBy }
    : { verdict: 'rejected', reason: `${name} has no endpoints`, decidedBy }
}

function noService(fronts: readonly MatchedFront[], way: Way): Fate {
  const nodePort = fronts.find(({ front }) => front.type === 'nodePort')
  return { verdict: 'no-service', reason: nodePort ? closedNodePort(nodePort, way) : whatTheAddressIs(way) }
}

const closedNodePort = ({ servicePort, front }: MatchedFront, { packet }: Way): string =>
  `node port ${front.port} of ${displayName(servicePort)} does not answer on ${packet.to.text}`

/** A load balancer's address may be one of the node's as well, as kube-vip and some clouds have it: then node ports answer there. */
function nodePortAtExternalAddress({ inForce, packet: { to, port, protocol } }: Way): string | undefined {
  let owner: ServicePort | undefined
  let nodePort: ServicePort | undefined
  for (const servicePort of inForce.services.values()) {
    if (servicePort.family !== to.family) continue
    const { externalIPs, loadBalancerVIPs, loadBalancerProxyIPs } = servicePort
    if ([externalIPs, loadBalancerVIPs, loadBalancerProxyIPs].some((list) => list.includes(to.text)))
      owner ??= servicePort
    if (servicePort.nodePort === port && servicePort.protocol === protocol) nodePort ??= servicePort
  }
  if (owner === undefined || nodePort === undefined) return undefined
  return `it depends on whether the node has ${to.text}, an external address of ${owner.service}: only then node port ${port} of ${displayName(nodePort)} answers there, and the Node does not list it`
}

function whatTheAddressIs(way: Way): string {
  const { inForce, packet } = way
  const { to, port, protocol } = packet
  const external = nodePortAtExternalAddress(way)
  if (external !== undefined) return external
  for (const servicePort of inForce.services.values()) {
    const { service, clusterIP, externalIPs, loadBalancerVIPs, loadBalancerProxyIPs } = servicePort
    if (loadBalancerProxyIPs.includes(to.text)) {
      return `the load balancer of ${service} handles ${to.text} itself (ipMode Proxy)`
    }
    if ([clusterIP, ...externalIPs, ...loadBalancerVIPs].includes(to.text)) {
      return `${service} at ${to.text} has no port ${port} of ${protocol}`
    }
  }
  return `no Service has ${to.text}`
}
