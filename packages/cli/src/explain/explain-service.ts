import {
  explainSelection,
  type Front,
  frontKey,
  frontsOf,
  type HintsVerdict,
  isLocalEndpoint,
  type KubernetesObject,
  type NodeInfo,
  type ProxyConfig,
  type ServiceName,
  type ServicePort,
  type SkippedPort,
  type State,
} from '@pointsman/core'
import { type ServiceRow, serviceRows } from '../services/service-rows.js'
import { type FrontWays, serviceWays } from './service-ways.js'

/** Why a Service is answered as it is. */
export interface Explanation {
  readonly service: ServiceName
  readonly ports: readonly PortExplanation[]
  /** Ports, or the whole Service, that get no rules. */
  readonly skipped: readonly SkippedPort[]
  /** As the Service has it; absent: none. */
  readonly selector?: KubernetesObject['spec']
  readonly healthCheck?: HealthCheck
}

export interface PortExplanation {
  readonly row: ServiceRow
  readonly fronts: readonly FrontWays[]
  readonly hints: HintsVerdict
  readonly overlaps: readonly Overlap[]
}

/** A front that another service port claims as well. */
export interface Overlap {
  readonly front: Front
  readonly other: ServicePort
  /** Whether the other, being older, is asked first; what it does not take, this one may. */
  readonly otherIsFirst: boolean
}

/** What the proxy answers a load balancer that asks whether this node has endpoints. */
export interface HealthCheck {
  readonly port: number
  readonly status: 200 | 503
  /** Ready ones on this node. */
  readonly localEndpoints: number
}

export interface ExplainQuestion {
  readonly service: ServiceName
  readonly objects: readonly KubernetesObject[]
  readonly state: State
  readonly config: ProxyConfig
}

export function explainService({ service, objects, state, config }: ExplainQuestion): Explanation {
  const own = objects.filter((object) => object.kind === 'Node' || belongsTo(object, service))
  const { rows, skipped } = serviceRows({ objects: own, node: state.node })
  const object = own.find(({ kind }) => kind === 'Service')
  const selector = (object?.['spec'] as { readonly selector?: KubernetesObject['spec'] } | undefined)?.selector
  const healthCheck = healthCheckOf(rows, state.node)
  return {
    service,
    ports: rows.map((row) => explainPort(row, state, config)),
    // Most Services have one family: that the other has no address is no news.
    skipped: skipped.filter(({ reason }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || rows.length === 0),
    ...(selector !== undefined && { selector }),
    ...(healthCheck && { healthCheck }),
  }
}

export function belongsTo({ kind, metadata }: KubernetesObject, service: ServiceName): boolean {
  if (kind === 'Node') return false
  const labels = metadata['labels'] as { readonly [label: string]: unknown } | undefined
  const name = kind === 'Service' ? metadata.name : labels?.['kubernetes.io/service-name']
  return typeof name === 'string' && `${metadata.namespace ?? ''}/${name}` === service
}

function explainPort(row: ServiceRow, state: State, config: ProxyConfig): PortExplanation {
  const { port } = row
  const endpoints = state.endpoints.get(port.id) ?? []
  return {
    row,
    fronts: serviceWays(port, state, config),
    hints: explainSelection({ port, endpoints, node: state.node }).hints,
    overlaps: overlapsOf(port, state),
  }
}

function overlapsOf(port: ServicePort, { services }: State): readonly Overlap[] {
  const fronts = new Map(frontsOf(port).map((front) => [frontKey(front), front]))
  const overlaps: Overlap[] = []
  for (const other of services.values()) {
    if (other.id === port.id || other.family !== port.family || other.protocol !== port.protocol) continue
    if (other.port !== port.port && other.nodePort !== port.nodePort) continue
    for (const theirs of frontsOf(other)) {
      const front = fronts.get(frontKey(theirs))
      if (front !== undefined) overlaps.push({ front, other, otherIsFirst: ageOf(other) < ageOf(port) })
    }
  }
  return overlaps
}

/** The older Service comes first, and of two of one age the one whose name comes first. */
const ageOf = ({ createdAt, service, id }: ServicePort): string => [createdAt, service, id].join('\u0000')

/** Of all ports together, each address once: what terminates does not count. */
function healthCheckOf(rows: readonly ServiceRow[], node: NodeInfo | undefined): HealthCheck | undefined {
  const port = rows.find((row) => row.port.healthCheckNodePort !== 0)?.port.healthCheckNodePort
  if (port === undefined) return undefined
  const local = rows.flatMap(({ endpoints }) =>
    endpoints.flatMap(({ endpoint }) => (endpoint.ready && isLocalEndpoint(endpoint, node) ? [endpoint.address] : [])),
  )
  const localEndpoints = new Set(local).size
  return { port, status: localEndpoints > 0 ? 200 : 503, localEndpoints }
}
