import {
  buildState,
  byAge,
  displayName,
  explainSelection,
  type Front,
  frontKey,
  frontsOf,
  healthCheckedServices,
  type HintsVerdict,
  type InForce,
  type IpFamily,
  type KubernetesObject,
  type NodeInfo,
  type Packet,
  type PacketFate,
  type ProxyConfig,
  route,
  type Route,
  type ServiceName,
  serviceOf,
  type ServicePort,
  type SkippedPort,
  type State,
  writtenSourceRanges,
} from '@pointsman/core'
import { type ServiceRow, serviceRows } from '../services/answer.js'

/** Why a Service is answered as it is. */
export interface Explanation {
  readonly service: ServiceName
  readonly ports: readonly PortExplanation[]
  /** Ports, or the whole Service, that get no rules. */
  readonly skipped: readonly SkippedPort[]
  /** As the Service has it; absent: none. */
  readonly selector?: KubernetesObject['spec']
  /** The source ranges as the Service has them, where a range of all addresses or another family makes some void. */
  readonly sourceRanges: ReturnType<typeof writtenSourceRanges>
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
interface HealthCheck {
  readonly port: number
  readonly status: 200 | 503
  /** Ready ones on this node. */
  readonly localEndpoints: number
}

interface ExplainQuestion {
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
  const among = rivalsIn(state)
  return {
    service,
    ports: rows.map((row) => explainPort(row, among(row.port), config)),
    // Most Services have one family: that the other has no address is no news.
    skipped: skipped.filter(({ reason }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || rows.length === 0),
    ...(selector !== undefined && { selector }),
    sourceRanges: object === undefined ? { IPv4: [], IPv6: [] } : writtenSourceRanges(object),
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

/** The state with those service ports alone that may claim a front of a given one, which are few: a Service may have thousands. */
function rivalsIn(state: State): (port: ServicePort) => State {
  const byNumber = new Map<number, ServicePort[]>()
  for (const port of state.services.values())
    for (const number of new Set([port.port, port.nodePort])) {
      const those = byNumber.get(number)
      if (number !== 0 && those === undefined) byNumber.set(number, [port])
      else those?.push(port)
    }
  return ({ port, nodePort }) => {
    const rivals = [port, nodePort].flatMap((number) => byNumber.get(number) ?? [])
    return { ...state, services: new Map(rivals.map((rival) => [rival.id, rival])) }
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

/** Who sends: any pod of this node, a process of the node itself, some host outside of the cluster. */
const SENDERS = ['pod', 'node', 'outside'] as const
/** Besides, where source ranges guard a front: who is within them. */
export type Sender = (typeof SENDERS)[number] | 'ranges'

/** What becomes of what one kind of sender sends to one front. */
export interface SenderWay extends Route {
  readonly from: Sender
}

export interface FrontWays {
  readonly front: Front
  /** Where it was asked for: of a node port the node's address. */
  readonly address: string
  /** One for each sender. */
  readonly ways: readonly SenderWay[]
  /** Those that say whether it is served: where source ranges guard it, they alone. */
  readonly decisive: readonly SenderWay[]
}

/** The ways of all fronts of a service port. A node port of a node without an address of the family has none. */
function serviceWays(port: ServicePort, inForce: InForce, config: ProxyConfig): readonly FrontWays[] {
  const { node } = inForce
  return frontsOf(port).flatMap((front) => {
    const address = front.address ?? nodeAddress(node, port.family)
    if (address === undefined) return []
    const wayFrom = (from: Sender, sender: PacketSource): SenderWay => ({
      from,
      ...route(inForce, config, { to: address, port: front.port, protocol: port.protocol, ...sender }),
    })
    const ways = SENDERS.map((from) => wayFrom(from, senderOf(from, { node, config, family: port.family })))
    const [range] = front.type === 'loadBalancerIP' ? port.loadBalancerSourceRanges : []
    if (range === undefined) return [{ front, address, ways, decisive: ways }]
    const within = wayFrom('ranges', { from: networkOf(range), interface: 'another' })
    return [
      { front, address, ways: [within, ...ways.map((way) => guarded(way, { within, port }))], decisive: [within] },
    ]
  })
}

/** Who is kept out by the ranges alone is told so in the same words, whoever it is. */
function guarded(
  way: SenderWay,
  { within, port }: { readonly within: SenderWay; readonly port: ServicePort },
): SenderWay {
  const isKeptOut = way.verdict === 'dropped' && way.reason !== within.reason
  return isKeptOut ? { ...way, reason: `not in the source ranges of ${displayName(port)}` } : way
}

type PacketSource = Pick<Packet, 'from' | 'interface'>

interface Surroundings {
  readonly node: NodeInfo | undefined
  readonly config: ProxyConfig
  readonly family: IpFamily
}

function senderOf(from: (typeof SENDERS)[number], surroundings: Surroundings): PacketSource {
  switch (from) {
    case 'pod':
      return podOf(surroundings)
    case 'node':
      return { from }
    case 'outside':
      return { from, interface: 'another' }
  }
}

/** An address of the node's pods that no pod has, else of any pods. */
function podOf({ node, config: { detectLocal }, family }: Surroundings): PacketSource {
  const cidrs = [...(node?.podCIDRs ?? []), ...(detectLocal.mode === 'ClusterCIDR' ? detectLocal.cidrs : [])]
  const network = cidrs.map(networkOf).find((text) => isOf(family, text))
  const from = network ?? 'outside'
  if (detectLocal.mode === 'BridgeInterface') return { from, interface: detectLocal.bridge }
  return detectLocal.mode === 'InterfaceNamePrefix' ? { from, interface: `${detectLocal.prefix}0` } : { from }
}

const networkOf = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'))

const nodeAddress = (node: NodeInfo | undefined, family: IpFamily): string | undefined =>
  node?.addresses.find((address) => isOf(family, address))

const isOf = (family: IpFamily, address: string): boolean => address.includes(':') === (family === 'IPv6')

/** What becomes of everything that is sent to a Service, as one. */
export interface ServiceFate extends PacketFate {
  /** Equal where the answer is: who reaches what from where, and all that the Service says of it. */
  readonly signature: string
}

export function serviceFate(service: ServiceName, state: State, config: ProxyConfig): ServiceFate {
  const ports = [...state.services.values()].filter((port) => port.service === service)
  const among = rivalsIn(state)
  const fronts = ports.flatMap((port) => serviceWays(port, among(port), config))
  const ways = fronts.flatMap((front) => front.decisive)
  const failing = ways.find(({ verdict }) => verdict !== 'endpoints')
  const [first] = ways
  const decisive = failing ?? first
  const endpoints = new Map(
    ways.flatMap((way) => way.endpoints.map((endpoint) => [`${endpoint.address} ${endpoint.port}`, endpoint] as const)),
  )
  const servicePort = decisive?.servicePort ?? ports[0]?.id
  return {
    verdict: decisive?.verdict ?? 'no-service',
    reason: decisive?.reason ?? `there is no ${service}`,
    ...(servicePort !== undefined && { servicePort }),
    endpoints: [...endpoints.values()],
    signature: JSON.stringify([ports, fronts.map(signatureOf)]),
  }
}

const signatureOf = ({ front, ways }: FrontWays): unknown => [
  front,
  ways.map(({ verdict, endpoints }) => [
    verdict,
    endpoints.map(({ address, port, odds, masqueraded }) => [address, port, odds, masqueraded]),
  ]),
]
