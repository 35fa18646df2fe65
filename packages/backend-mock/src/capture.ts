import { assertNever, cidrContains, parseAddress, type Endpoint } from '@pointsman/core'
import { cidrsOfFamily } from './cidrs.js'
import type { MatchedFront } from './matching-fronts.js'
import { nodePortsAnswerOn } from './node-port-addresses.js'
import { nodeIpOf } from './own-addresses.js'
import { sourceIsIn } from './source.js'
import type { Way } from './way.js'

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
