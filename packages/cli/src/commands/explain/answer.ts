import {
  buildState,
  byAge,
  endpointKey,
  explainSelection,
  type Front,
  frontKey,
  frontsOf,
  healthCheckedServices,
  type HintsVerdict,
  type JsonObject,
  type KubernetesObject,
  type PacketFate,
  type PodSelection,
  type ProxyConfig,
  selectorOf,
  selectPods,
  type ServiceName,
  isClusterScoped,
  serviceOf,
  type ServicePort,
  type SkippedPort,
  type SliceComparison,
  sliceComparer,
  type State,
  writtenSourceRanges,
} from '@pointsman/core'
import { type AlsoLookAt, alsoLookAt, LOOK_CODES } from '../../packet/also-look-at.js'
import { type EndpointRow, type ServiceRow, serviceRows } from '../services/answer.js'
import { type FrontQuestion, type FrontWays, frontWays, type SenderWay, serviceWays } from './front-ways.js'

/** Why a Service is answered as it is. */
export interface Explanation {
  readonly service: ServiceName
  readonly ports: readonly PortExplanation[]
  /** Ports, or the whole Service, that get no rules. */
  readonly skipped: readonly SkippedPort[]
  /** As the Service has it; absent: none. */
  readonly selector?: JsonObject
  /** The source ranges as the Service has them, where a range of all addresses or another family makes some void. */
  readonly sourceRanges: ReturnType<typeof writtenSourceRanges>
  readonly healthCheck?: HealthCheck
  /** What the Pods of the input say; absent where it has none, or the Service no selector. */
  readonly pods?: PodSelection
  /** The node that is asked about, where the input has neither its object nor an endpoint on it. */
  readonly unknownNode?: UnknownNode
  /** Whether it is known which node the answer is for. */
  readonly hasNode: boolean
  /** Whether the input has an EndpointSlice of any Service. */
  readonly hasSlices: boolean
  readonly alsoLookAt: readonly AlsoLookAt[]
}

interface UnknownNode {
  readonly name: string
  /** Nodes of the input, and those that endpoints of the Service are on, sorted. */
  readonly others: readonly string[]
}

export interface PortExplanation {
  readonly row: ServiceRow
  readonly slices: SliceComparison
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
  /** Whether the verdict is the same whichever comes first. If not, kube-proxy does not define which of them wins. */
  readonly isDefined: boolean
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
  /** Pod objects of all namespaces; absent: the input has none. */
  readonly pods?: readonly JsonObject[]
}

export function explainService({ service, objects, state, config, pods = [] }: ExplainQuestion): Explanation {
  const own = objects.filter((object) => isClusterScoped(object.kind) || serviceOf(object) === service)
  const { rows, skipped } = serviceRows({ objects: own, built: buildState({ objects: own }), node: state.node })
  const object = own.find(({ kind }) => kind === 'Service')
  const selector = object && selectorOf(object)
  const healthCheck = healthCheckOf(service, state)
  const among = rivalsIn(state)
  const families = new Set(rows.map(({ port }) => port.family))
  const compare = object === undefined ? () => NO_SLICES : sliceComparer({ service: object, families, objects })
  const ports = rows.map((row) => explainPort(row, { among: among(row.port), config, slices: compare(row.port) }))
  const selection =
    object === undefined || pods.length === 0
      ? undefined
      : selectPods({ service: object, ports: rows.map(({ port }) => port), pods, isListed: listedIn(own) })
  const unknownNode = unknownNodeOf(state, rows)
  return {
    service,
    ports,
    // Most Services have one family: that the other has no address is no news.
    skipped: skipped.filter(({ reason }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || rows.length === 0),
    ...(selector !== undefined && { selector }),
    sourceRanges: object === undefined ? { IPv4: [], IPv6: [] } : writtenSourceRanges(object),
    ...(healthCheck && { healthCheck }),
    ...(selection && { pods: selection }),
    ...(unknownNode && { unknownNode }),
    hasNode: state.node !== undefined,
    hasSlices: objects.some(({ kind }) => kind === 'EndpointSlice'),
    alsoLookAt: alsoLookAtPorts(ports, state),
  }
}

const NO_SLICES: SliceComparison = { slices: 0, slicesOf: new Map(), findings: [] }

/** Whether one of the slices lists one of these addresses, on whatever port. */
function listedIn(objects: readonly KubernetesObject[]): (addresses: readonly string[]) => boolean {
  const listed = new Set<unknown>()
  for (const { kind, endpoints } of objects) {
    if (kind !== 'EndpointSlice' || !Array.isArray(endpoints)) continue
    for (const endpoint of endpoints as readonly ({ readonly addresses?: unknown } | null)[])
      if (Array.isArray(endpoint?.addresses)) listed.add(endpoint.addresses[0])
  }
  return (addresses) => addresses.some((address) => listed.has(address))
}

/** Undefined where the node is known by its object or by any endpoint on it. */
function unknownNodeOf({ node, nodes, endpoints }: State, rows: readonly ServiceRow[]): UnknownNode | undefined {
  if (node === undefined || nodes.has(node.name)) return undefined
  for (const list of endpoints.values()) if (list.some(({ nodeName }) => nodeName === node.name)) return undefined
  const ofEndpoints = rows.flatMap((row) => row.endpoints.flatMap(({ endpoint }) => endpoint.nodeName ?? []))
  return { name: node.name, others: [...new Set([...nodes.keys(), ...ofEndpoints])].toSorted() }
}

interface Surroundings {
  /** The state with those service ports alone that may claim a front of the port. */
  readonly among: State
  readonly config: ProxyConfig
  readonly slices: SliceComparison
}

function explainPort(row: ServiceRow, { among, config, slices }: Surroundings): PortExplanation {
  const { port } = row
  const endpoints = among.endpoints.get(port.id) ?? []
  return {
    row,
    slices,
    fronts: serviceWays(port, among, config),
    hints: explainSelection({ port, endpoints, node: among.node }).hints,
    overlaps: overlapsOf({ port, inForce: among, config }),
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

function overlapsOf({ port, inForce, config }: FrontQuestion): readonly Overlap[] {
  const fronts = new Map(frontsOf(port).map((front) => [frontKey(front), front]))
  const defined = new Map<Front, boolean>()
  const overlaps: Overlap[] = []
  for (const other of inForce.services.values()) {
    if (other.id === port.id || other.family !== port.family || other.protocol !== port.protocol) continue
    if (other.port !== port.port && other.nodePort !== port.nodePort) continue
    for (const theirs of frontsOf(other)) {
      const front = fronts.get(frontKey(theirs))
      if (front === undefined) continue
      const isDefined = defined.get(front) ?? isSameInEitherOrder(front, { port, inForce, config })
      defined.set(front, isDefined)
      overlaps.push({ front, other, otherIsFirst: byAge(other, port) < 0, isDefined })
    }
  }
  return overlaps
}

/** Whether a front's verdicts are the same with the port before all others that claim it, and behind them. */
function isSameInEitherOrder(front: Front, { port, inForce, config }: FrontQuestion): boolean {
  const verdictsWith = (createdAt: string): string => {
    const services = new Map(
      [...inForce.services].map(([id, one]) => [
        id,
        { ...one, createdAt: id === port.id ? createdAt : `${AMONG_THEM}${one.createdAt}` },
      ]),
    )
    return JSON.stringify(waysSignature(frontWays(front, { port, inForce: { ...inForce, services }, config })))
  }
  return verdictsWith(BEFORE_ALL) === verdictsWith(BEHIND_ALL)
}

const [BEFORE_ALL, AMONG_THEM, BEHIND_ALL] = ['0', '1', '2'] as const

/** As the agent's own health-check port answers. */
function healthCheckOf(service: ServiceName, state: State): HealthCheck | undefined {
  const checked = healthCheckedServices(state).find((each) => each.service === service)
  if (checked === undefined) return undefined
  const { port, localEndpoints } = checked
  return { port, status: localEndpoints > 0 ? 200 : 503, localEndpoints }
}

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

const signatureOf = (found: FrontWays): unknown => [found.front, waysSignature(found)]

const waysSignature = ({ ways }: FrontWays): unknown =>
  ways.map(({ verdict, endpoints }) => [
    verdict,
    endpoints.map(({ address, port, odds, masqueraded }) => [address, port, odds, masqueraded]),
  ])

/** What else to look at, of the first port that it applies to. */
function alsoLookAtPorts(ports: readonly PortExplanation[], { node }: State): readonly AlsoLookAt[] {
  const looks = ports.flatMap(({ row, fronts }) => {
    const { port } = row
    const [clusterIP, ...others] = fronts
    const neighbour = row.endpoints.find((one) => isPodInUse(one, node?.addresses ?? []))?.endpoint
    const fromPod = clusterIP?.ways.find(({ from }) => from === 'pod')
    const reached = fromPod?.endpoints.find(({ address }) => address === neighbour?.address)
    const name = reached === undefined ? undefined : (neighbour?.pod ?? neighbour?.address)
    return alsoLookAt({
      family: port.family,
      selfReached: name,
      sameNode: reached?.masqueraded === false ? name : undefined,
      udp: port.protocol === 'UDP' ? { address: port.clusterIP, port: port.port } : undefined,
      external: others.map((front) => externalTraffic(front, port)).find((found) => found !== undefined),
    })
  })
  return Object.keys(LOOK_CODES).flatMap((code) => looks.find((look) => look.code === code) ?? [])
}

/** On this node, with a network of its own. */
const isPodInUse = ({ endpoint, isOnNode, cluster, local }: EndpointRow, nodeAddresses: readonly string[]): boolean =>
  isOnNode === true && (cluster?.used === true || local?.used === true) && !nodeAddresses.includes(endpoint.address)

function externalTraffic(
  { front, address, decisive }: FrontWays,
  { protocol }: ServicePort,
): (Parameters<typeof alsoLookAt>[0]['external'] & object) | undefined {
  const way = decisive.find(({ from }: SenderWay) => from === 'outside' || from === 'ranges')
  if (address === undefined || way?.verdict !== 'endpoints') return undefined
  const keepsSource = way.endpoints.every(({ masqueraded }) => !masqueraded)
  return { address, port: front.port, protocol, keepsSource }
}

/** The names of the slices that list an endpoint. */
export const slicesListing = ({ slices }: PortExplanation, { endpoint }: EndpointRow): readonly string[] =>
  slices.slicesOf.get(endpointKey(endpoint)) ?? []
