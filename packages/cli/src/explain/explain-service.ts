import {
  byAge,
  buildState,
  healthCheckedServices,
  serviceOf,
  explainSelection,
  frontKey,
  frontsOf,
  type Front,
  type HintsVerdict,
  type KubernetesObject,
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
  const own = objects.filter((object) => object.kind === 'Node' || serviceOf(object) === service)
  const { rows, skipped } = serviceRows({ objects: own, built: buildState({ objects: own }), node: state.node })
  const object = own.find(({ kind }) => kind === 'Service')
  const selector = (object?.['spec'] as { readonly selector?: KubernetesObject['spec'] } | undefined)?.selector
  const healthCheck = healthCheckOf(service, state)
  return {
    service,
    ports: rows.map((row) => explainPort(row, state, config)),
    // Most Services have one family: that the other has no address is no news.
    skipped: skipped.filter(({ reason }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || rows.length === 0),
    ...(selector !== undefined && { selector }),
    ...(healthCheck && { healthCheck }),
  }
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
      if (front !== undefined) overlaps.push({ front, other, otherIsFirst: byAge(other, port) < 0 })
    }
  }
  return overlaps
}

/** As the agent's own health-check port answers. */
function healthCheckOf(service: ServiceName, state: State): HealthCheck | undefined {
  const checked = healthCheckedServices(state).find((each) => each.service === service)
  if (checked === undefined) return undefined
  const { port, localEndpoints } = checked
  return { port, status: localEndpoints > 0 ? 200 : 503, localEndpoints }
}
