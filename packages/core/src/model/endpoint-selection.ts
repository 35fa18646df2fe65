import type { Endpoint } from './endpoint.js'
import { usesClusterEndpoints, usesLocalEndpoints } from './service-port.js'
import type { ServicePort } from './service-port.js'

/** Hints that are followed: of this node, or of its zone. */
export type TrafficDistribution = 'PreferSameNode' | 'PreferSameZone'

export interface SelectionInput {
  readonly port: ServicePort
  /** All endpoints of the port, whatever their conditions. */
  readonly endpoints: readonly Endpoint[]
  /** The node that the rules are for; `undefined`: not known, so that no endpoint is local and no hint names it. */
  readonly node: { readonly name: string; readonly zone: string } | undefined
}

/** The endpoints that a node may use for a service port. Lists keep the order of the input. */
export interface EndpointSelection {
  /** For traffic that may leave the node; empty where the port has no such traffic. */
  readonly cluster: readonly Endpoint[]
  /** For traffic of policy Local; empty where the port has no such traffic. */
  readonly local: readonly Endpoint[]
  /** Whether any endpoint in the cluster could be used, if not by this node: decides between dropping and rejecting. */
  readonly hasEndpoints: boolean
  /** The hints that `cluster` follows. */
  readonly distribution?: TrafficDistribution
  /** None was ready: the list is of terminating endpoints that still serve. Judged apart for cluster and local. */
  readonly clusterFallback: boolean
  readonly localFallback: boolean
}

/**
 * Which endpoints this node may use (CategorizeEndpoints of kube-proxy 1.36): ready ones, within the hints for cluster
 * traffic, else those that terminate and still serve. `explainSelection` says why, for each endpoint.
 */
export function selectEndpoints({ port, endpoints, node }: SelectionInput): EndpointSelection {
  const distribution = usesClusterEndpoints(port) ? distributionOf(endpoints, node) : undefined
  const ready = endpoints.filter((endpoint) => endpoint.ready)
  const cluster = usesClusterEndpoints(port) ? clusterEndpoints(endpoints, { ready, distribution, node }) : NONE
  const local = usesLocalEndpoints(port) ? localEndpoints(endpoints, node) : NONE
  const selection = {
    cluster,
    local,
    hasEndpoints: ready.length > 0 || endpoints.some(servesWhileTerminating),
    clusterFallback: cluster[0]?.ready === false,
    localFallback: local[0]?.ready === false,
  }
  return distribution === undefined ? selection : { ...selection, distribution }
}

export const isLocalEndpoint = (endpoint: Endpoint, node: SelectionInput['node']): boolean =>
  node !== undefined && node.name !== '' && endpoint.nodeName === node.name

export const servesWhileTerminating = (endpoint: Endpoint): boolean => endpoint.serving && endpoint.terminating

const NONE: readonly Endpoint[] = []

interface ClusterInput {
  readonly ready: readonly Endpoint[]
  readonly distribution: TrafficDistribution | undefined
  readonly node: SelectionInput['node']
}

function clusterEndpoints(
  endpoints: readonly Endpoint[],
  { ready, distribution, node }: ClusterInput,
): readonly Endpoint[] {
  if (ready.length === 0) return endpoints.filter(servesWhileTerminating)
  if (distribution === undefined || node === undefined) return ready
  return ready.filter((endpoint) =>
    distribution === 'PreferSameNode'
      ? endpoint.nodeHints?.includes(node.name)
      : endpoint.zoneHints?.includes(node.zone),
  )
}

function localEndpoints(endpoints: readonly Endpoint[], node: SelectionInput['node']): readonly Endpoint[] {
  const local = endpoints.filter((endpoint) => isLocalEndpoint(endpoint, node))
  const ready = local.filter((endpoint) => endpoint.ready)
  return ready.length > 0 ? ready : local.filter(servesWhileTerminating)
}

/** Hints count when every ready endpoint carries one and at least one names this node or zone; nodes come first. */
function distributionOf(endpoints: readonly Endpoint[], node: SelectionInput['node']): TrafficDistribution | undefined {
  if (node === undefined) return undefined
  let everyNodeHint = true
  let everyZoneHint = true
  let forNode = false
  let forZone = false
  for (const { ready, nodeHints, zoneHints } of endpoints) {
    if (!ready) continue
    if (nodeHints === undefined) everyNodeHint = false
    else forNode ||= nodeHints.includes(node.name)
    if (zoneHints === undefined) everyZoneHint = false
    else forZone ||= zoneHints.includes(node.zone)
    if (!everyNodeHint && !everyZoneHint) return undefined
  }
  if (everyNodeHint && forNode) return 'PreferSameNode'
  return everyZoneHint && forZone ? 'PreferSameZone' : undefined
}
