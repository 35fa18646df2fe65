import type { IpAddress } from '../model/address.js'
import { displayName } from '../model/names.js'
import { isGuarded, isRefused, type MatchedFront } from './capture.js'
import { hasLocalhostNodePorts, isLoopback } from './own-addresses.js'
import type { Way } from './source.js'

export type Verdict = 'endpoints' | 'rejected' | 'dropped' | 'no-service'

export interface Fate {
  readonly verdict: Exclude<Verdict, 'endpoints'>
  readonly reason: string
  readonly decidedBy?: MatchedFront
}

/**
 * What becomes of a packet that no front gave to an endpoint. The first that holds, in the order in which the node
 * asks: source ranges; cluster IPs, for what the node forwards or sends; the node's own doors; external fronts, for what
 * the node forwards or takes in. A packet of the node to an address of its own is both sent and taken in.
 */
export function fateOfUncaptured(fronts: readonly MatchedFront[], way: Way): Fate {
  return (
    strayLoopback(way) ??
    refusedByRanges(fronts, way) ??
    clusterIpWithoutEndpoints(fronts, way) ??
    healthCheck(way) ??
    externalWithoutEndpoints(fronts, way) ??
    noService(fronts, way)
  )
}

/** Loopback is for the node alone: what comes to it from elsewhere, or from another address, gets no further. */
function strayLoopback({ packet, source, config, inForce }: Way): Fate | undefined {
  if (!isLoopback(packet.to) || isLoopbackSource(source.address)) return undefined
  const guarded = packet.to.family === 'IPv4' && hasLocalhostNodePorts({ node: inForce.node, config })
  if (source.own && !guarded) return undefined
  return { verdict: 'dropped', reason: `${packet.to.text} is loopback, and takes nothing from ${source.name}` }
}

const isLoopbackSource = (address: IpAddress | undefined): boolean => address !== undefined && isLoopback(address)

function refusedByRanges(fronts: readonly MatchedFront[], way: Way): Fate | undefined {
  const decidedBy = fronts.find(isGuarded)
  if (decidedBy === undefined) return undefined
  // Let in, and yet not taken: the packet ends at the same guard, which asks for no more than that.
  if (!isRefused(decidedBy, way)) return withoutEndpoints(decidedBy, 'externalTrafficPolicy')
  const reason = `${way.source.name} is not in the source ranges of ${displayName(decidedBy.servicePort)}`
  return { verdict: 'dropped', reason, decidedBy }
}

function clusterIpWithoutEndpoints(fronts: readonly MatchedFront[], { source, toNode }: Way): Fate | undefined {
  if (toNode && !source.own) return undefined
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

function externalWithoutEndpoints(fronts: readonly MatchedFront[], { packet, source, toNode }: Way): Fate | undefined {
  const decidedBy = fronts.find((matched) => isExternal(matched) && lacksEndpoints(matched))
  if (decidedBy === undefined) return undefined
  if (toNode || !source.own) return withoutEndpoints(decidedBy, 'externalTrafficPolicy')
  const name = displayName(decidedBy.servicePort)
  const reason = `${name} has no endpoints, and the node's own packet to ${packet.to.text} leaves the node as it is`
  return { verdict: 'no-service', reason, decidedBy }
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

function whatTheAddressIs({ inForce, packet: { to, port, protocol } }: Way): string {
  for (const servicePort of inForce.services.values()) {
    const { service, clusterIP, externalIPs, loadBalancerVIPs, loadBalancerProxyIPs } = servicePort
    if (loadBalancerProxyIPs.includes(to.text)) {
      return `${to.text} is left to the load balancer of ${service} (ipMode Proxy)`
    }
    if ([clusterIP, ...externalIPs, ...loadBalancerVIPs].includes(to.text)) {
      return `${service} at ${to.text} has no port ${port} of ${protocol}`
    }
  }
  return `no Service has ${to.text}`
}
