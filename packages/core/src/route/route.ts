import { isLocalEndpoint } from '../model/endpoint-selection.js'
import { endpointKey, type Endpoint } from '../model/endpoint.js'
import { displayName, type ServicePortName } from '../model/names.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { Front } from '../state/state.js'
import {
  captureBy,
  type Fate,
  fateOfUncaptured,
  matchingFronts,
  type MatchedFront,
  refusedFirst,
  type Verdict,
} from './capture.js'
import { type PacketSemantics, packetSemanticsOf } from './packet-semantics.js'
import { isOwnAddress, readPacket, sourceOf, type InForce, type Packet, type Way } from './source.js'

/** What becomes of a packet. */
export interface Route {
  readonly verdict: Verdict
  /** One sentence for a person. */
  readonly reason: string
  /** The service port that decided; absent where none did. */
  readonly servicePort?: ServicePortName
  readonly front?: RouteFront
  /** Where it may go, sorted by `endpointKey`; the odds add up to 1. Empty unless the verdict is `endpoints`. */
  readonly endpoints: readonly RouteEndpoint[]
}

export interface RouteFront {
  readonly type: Front['type']
  readonly address: string
  readonly port: number
}

export interface RouteEndpoint {
  readonly address: string
  readonly port: number
  /** 0 to 1. Session affinity is not in it: the first packet of a new client has no history. */
  readonly odds: number
  /** Whether the endpoint sees the node's address in place of the sender's. */
  readonly masqueraded: boolean
  readonly pod?: string
}

/**
 * Where the first packet of a connection goes on a node that has this in force: what kube-proxy 1.36 in the configuration's
 * mode does with it (`packet-semantics.ts`), told from the meaning of Services alone. Throws a RouteError for what is no packet.
 *
 * Taken for granted: the node forwards for pods and others, no other firewall interferes, and its own addresses are
 * those of the Node object and loopback. An endpoint's address that is a front of another Service is not followed.
 */
export function route(
  inForce: InForce,
  config: ProxyConfig,
  packet: Packet,
  semantics: PacketSemantics = packetSemanticsOf(config.mode),
): Route {
  const read = readPacket(packet)
  if (!config.families.includes(read.to.family)) {
    return { verdict: 'no-service', reason: `the configuration has no ${read.to.family}`, endpoints: [] }
  }
  const source = sourceOf(inForce, config, read)
  const toNode = isOwnAddress(inForce.node, read.to)
  const way: Way = { inForce, config, packet: read, source, toNode, semantics }
  const fronts = matchingFronts(inForce, read)
  const refused = refusedFirst(fronts, way)
  if (refused !== undefined) return withoutEndpoints(refused, way)
  for (const matched of fronts) {
    const capture = captureBy(matched, way)
    if (capture !== undefined) return toEndpoints({ ...capture, matched, way })
  }
  return withoutEndpoints(fateOfUncaptured(fronts, way), way)
}

const withoutEndpoints = ({ decidedBy, ...fate }: Fate, way: Way): Route => ({
  ...fate,
  ...(decidedBy && identityOf(decidedBy, way)),
  endpoints: [],
})

interface Captured {
  readonly endpoints: readonly Endpoint[]
  readonly masquerade: boolean
  readonly because: string
  readonly matched: MatchedFront
  readonly way: Way
}

function toEndpoints({ endpoints, masquerade, because, matched, way }: Captured): Route {
  const sorted = endpoints.toSorted((a, b) => (endpointKey(a) < endpointKey(b) ? -1 : 1))
  const counted = endpoints.length === 1 ? '1 endpoint' : `${endpoints.length} endpoints`
  const assumed = way.source.assumption === undefined ? '' : `; ${way.source.assumption}`
  return {
    verdict: 'endpoints',
    reason: `${displayName(matched.servicePort)} sends it to ${counted}, ${because}${assumed}`,
    ...identityOf(matched, way),
    endpoints: sorted.map((endpoint) => ({
      address: endpoint.address,
      port: endpoint.port,
      odds: 1 / endpoints.length,
      masqueraded: masquerade || isHairpin(endpoint, way),
      ...(endpoint.pod !== undefined && { pod: endpoint.pod }),
    })),
  }
}

/** An answer that went straight back to the sender would come from an address that the sender never asked. */
const isHairpin = (endpoint: Endpoint, { source, semantics, inForce }: Way): boolean =>
  endpoint.address === source.address?.text && (semantics.hairpin === 'any' || isLocalEndpoint(endpoint, inForce.node))

function identityOf(
  { servicePort, front }: MatchedFront,
  { packet }: Way,
): Required<Pick<Route, 'servicePort' | 'front'>> {
  return {
    servicePort: servicePort.id,
    front: { type: front.type, address: front.address ?? packet.to.text, port: front.port },
  }
}
