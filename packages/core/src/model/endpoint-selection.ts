import { type Endpoint, endpointKey } from './endpoint.js'
import { type ServicePort, usesClusterEndpoints, usesLocalEndpoints } from './service-port.js'

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

/** Endpoints of either policy, each once: one that terminates may serve the one policy and not the other. */
export function reachableEndpoints({ cluster, local }: EndpointSelection): readonly Endpoint[] {
  const keys = new Set(cluster.map(endpointKey))
  return [...cluster, ...local.filter((endpoint) => !keys.has(endpointKey(endpoint)))]
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

/** Why an endpoint is used, or not, for one kind of traffic: as text for people. */
export const ENDPOINT_REASONS = {
  READY: 'ready',
  TERMINATING_FALLBACK: 'terminating but serving, and no endpoint for this traffic is ready',
  NOT_READY: 'not ready',
  TERMINATING_NOT_NEEDED: 'terminating, and another endpoint for this traffic is ready',
  NOT_SERVING: 'terminating, and no longer serving',
  HINT_OTHER_NODE: 'ready, but its hints assign it to other nodes',
  HINT_OTHER_ZONE: 'ready, but its hints assign it to other zones',
  NOT_LOCAL: 'on another node, and this traffic stays on its node',
  NO_NODE_NAME: 'has no nodeName, so it is treated as remote, and this traffic stays on its node',
  NODE_UNKNOWN: 'this traffic stays on its node, and the node is unknown',
  POLICY_NOT_USED: 'the port has no traffic with this policy',
} as const
export type EndpointReason = keyof typeof ENDPOINT_REASONS

export interface EndpointVerdict {
  readonly endpoint: Endpoint
  readonly used: boolean
  readonly reason: EndpointReason
}

/** Whether topology hints of one kind are followed, and why not. */
export const HINT_REASONS = {
  FOLLOWED: 'the hints are followed',
  POLICY_NOT_USED: 'hints do not apply to traffic with policy Local, and the port has no other traffic',
  NO_READY_ENDPOINT: 'no endpoint is ready, and hints do not apply to terminating ones',
  NO_HINTS: 'no ready endpoint has such a hint',
  SOME_WITHOUT_HINT: 'some ready endpoints have no such hint',
  NODE_HINTS_FOLLOWED: 'node hints take precedence, and are followed',
  NODE_UNKNOWN: 'the node that the rules are for is unknown',
  NODE_WITHOUT_ZONE: 'the node has no label topology.kubernetes.io/zone',
  NONE_FOR_THIS_NODE: 'no hint names this node',
  NONE_FOR_THIS_ZONE: 'no hint names the zone of this node',
} as const
export type HintReason = keyof typeof HINT_REASONS

export interface HintsVerdict {
  /** Absent: no hints are followed. */
  readonly distribution?: TrafficDistribution
  readonly nodeHints: HintReason
  readonly zoneHints: HintReason
}

export interface SelectionExplanation {
  /** One verdict an endpoint, in the order of the input, for traffic that may leave the node. */
  readonly cluster: readonly EndpointVerdict[]
  /** The same for traffic of policy Local. */
  readonly local: readonly EndpointVerdict[]
  readonly hints: HintsVerdict
}

/** Why `selectEndpoints` selects what it does: what is `used` here is what is in its lists. */
export function explainSelection(input: SelectionInput): SelectionExplanation {
  const { port, endpoints, node } = input
  const hints = hintsVerdict(input)
  const verdicts = (reasonOf: (endpoint: Endpoint) => EndpointReason): readonly EndpointVerdict[] =>
    endpoints.map((endpoint) => {
      const reason = reasonOf(endpoint)
      return { endpoint, used: reason === 'READY' || reason === 'TERMINATING_FALLBACK', reason }
    })
  const someReady = endpoints.some(({ ready }) => ready)
  const someLocalReady = endpoints.some((endpoint) => endpoint.ready && notLocal(endpoint, node) === undefined)
  return {
    cluster: verdicts((endpoint) => {
      if (!usesClusterEndpoints(port)) return 'POLICY_NOT_USED'
      return hintedElsewhere(endpoint, hints, node) ?? conditionReason(endpoint, someReady)
    }),
    local: verdicts((endpoint) => {
      if (!usesLocalEndpoints(port)) return 'POLICY_NOT_USED'
      return notLocal(endpoint, node) ?? conditionReason(endpoint, someLocalReady)
    }),
    hints,
  }
}

type Node = SelectionInput['node']

function conditionReason({ ready, serving, terminating }: Endpoint, someReady: boolean): EndpointReason {
  if (ready) return 'READY'
  if (!terminating) return 'NOT_READY'
  if (!serving) return 'NOT_SERVING'
  return someReady ? 'TERMINATING_NOT_NEEDED' : 'TERMINATING_FALLBACK'
}

function notLocal({ nodeName }: Endpoint, node: Node): EndpointReason | undefined {
  if (node === undefined || node.name === '') return 'NODE_UNKNOWN'
  if (nodeName === undefined) return 'NO_NODE_NAME'
  return nodeName === node.name ? undefined : 'NOT_LOCAL'
}

/** Only of ready endpoints: of another its condition is what a person has to know. */
function hintedElsewhere(endpoint: Endpoint, { distribution }: HintsVerdict, node: Node): EndpointReason | undefined {
  if (!endpoint.ready || distribution === undefined || node === undefined) return undefined
  if (distribution === 'PreferSameNode') {
    return endpoint.nodeHints?.includes(node.name) === true ? undefined : 'HINT_OTHER_NODE'
  }
  return endpoint.zoneHints?.includes(node.zone) === true ? undefined : 'HINT_OTHER_ZONE'
}

function hintsVerdict({ port, endpoints, node }: SelectionInput): HintsVerdict {
  const ready = endpoints.filter((endpoint) => endpoint.ready)
  const never = !usesClusterEndpoints(port) ? 'POLICY_NOT_USED' : ready.length === 0 ? 'NO_READY_ENDPOINT' : undefined
  if (never !== undefined) return { nodeHints: never, zoneHints: never }
  const nodeHints = hintReason(
    ready.map((endpoint) => endpoint.nodeHints),
    {
      wanted: node?.name,
      notNamed: node === undefined ? 'NODE_UNKNOWN' : 'NONE_FOR_THIS_NODE',
    },
  )
  if (nodeHints === 'FOLLOWED') return { distribution: 'PreferSameNode', nodeHints, zoneHints: 'NODE_HINTS_FOLLOWED' }
  const zoneHints = hintReason(
    ready.map((endpoint) => endpoint.zoneHints),
    {
      wanted: node?.zone,
      notNamed: node === undefined ? 'NODE_UNKNOWN' : node.zone === '' ? 'NODE_WITHOUT_ZONE' : 'NONE_FOR_THIS_ZONE',
    },
  )
  return zoneHints === 'FOLLOWED' ? { distribution: 'PreferSameZone', nodeHints, zoneHints } : { nodeHints, zoneHints }
}

/** `wanted` is the node or zone that a hint should name, `notNamed` what to say where every endpoint names others. */
function hintReason(
  hints: readonly (readonly string[] | undefined)[],
  { wanted, notNamed }: { readonly wanted: string | undefined; readonly notNamed: HintReason },
): HintReason {
  if (hints.every((names) => names === undefined)) return 'NO_HINTS'
  if (hints.includes(undefined)) return 'SOME_WITHOUT_HINT'
  return wanted !== undefined && hints.some((names) => names?.includes(wanted)) ? 'FOLLOWED' : notNamed
}
