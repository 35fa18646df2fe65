import type { IpFamily } from '../model/address.js'
import { endpointKey, type Endpoint } from '../model/endpoint.js'
import { isJsonObject } from '../model/json-value.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { answersOnLocalhost, isLoopback, nodePortAddressesOf } from '../model/node.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import { protocolOf, servicePortsOf } from '../model/service-ports.js'
import { frontKey, frontsOf, type Front, type State } from '../state/state.js'

/** One end of a flow's two directions, as the kernel tracks it. Addresses in canonical spelling. */
export interface FlowTuple {
  readonly src: string
  readonly dst: string
  readonly sport: number
  readonly dport: number
}

/** A flow that the kernel's connection tracking knows. */
export interface Flow {
  readonly family: IpFamily
  /** In small letters, as conntrack(8) has it: `udp`. */
  readonly protocol: string
  /** The zone of both directions; 0 where there is none, or one direction alone has one. */
  readonly zone: number
  /** The packets of the side that began. */
  readonly original: FlowTuple
  /** What the answers to them are: their source is whatever the original destination was translated to. */
  readonly reply: FlowTuple
}

/** Whether the flow's packets go to another address or port than they were sent to. */
export const isTranslated = ({ original, reply }: Flow): boolean =>
  reply.src !== original.dst || reply.sport !== original.dport

/** The UDP flows of one family that were sent to one address and port, and go to one target, in one zone. */
export type FlowGroup = Pick<Flow, 'family' | 'zone'> & {
  readonly address: string
  readonly port: number
  readonly targetAddress: string
  readonly targetPort: number
}

export const groupOf = ({ family, zone, original, reply }: Flow): FlowGroup => ({
  family,
  zone,
  address: original.dst,
  port: original.dport,
  targetAddress: reply.src,
  targetPort: reply.sport,
})

/** Which flows to list. */
export type FlowFilter = Pick<Flow, 'family' | 'protocol'>

/** A group, and those of its flows that a listing had. */
export interface ListedGroup extends FlowGroup {
  readonly flows: readonly Flow[]
}

/** The kernel's table of flows, over netlink or by conntrack(8). Every method fails with a ConntrackError alone, or with a bug. */
export interface FlowTable {
  /** Hands over each flow as it is read, some perhaps twice; the listing is never held whole. */
  readonly listFlows: (filter: FlowFilter, onFlow: (flow: Flow) => void, signal?: AbortSignal) => Promise<void>
  /**
   * Deletes the flows that were listed of a group, and may delete such as have come to it since. Answers how many flows that
   * were. None: they were gone already.
   */
  readonly deleteFlows: (group: ListedGroup, signal?: AbortSignal) => Promise<number>
}

/** Calls end with ABORTED once their signal is aborted, whatever becomes of what they began. */
export const abandonable = (flows: FlowTable): FlowTable => ({
  listFlows: async (filter, onFlow, signal) => {
    const take = (flow: Flow): void => {
      if (signal?.aborted !== true) onFlow(flow)
    }
    await orAbandoned(flows.listFlows(filter, take, signal), signal)
  },
  deleteFlows: (group, signal) => orAbandoned(flows.deleteFlows(group, signal), signal),
})

async function orAbandoned<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  let abandon: () => void = () => undefined
  const abandoned = new Promise<never>((_, reject) => {
    abandon = () => reject(new ConntrackError('ABORTED', { argv: ['conntrack'] }))
  })
  signal?.addEventListener('abort', abandon)
  if (signal?.aborted === true) abandon()
  try {
    return await Promise.race([work, abandoned])
  } finally {
    signal?.removeEventListener('abort', abandon)
  }
}

/** What can go wrong with the table of flows, and what to do about it. */
export const CONNTRACK_ERRORS = {
  NOT_FOUND: 'conntrack is not installed, so UDP clients may keep using removed endpoints: install it',
  NO_PERMISSION: 'permission denied: run as root, or with CAP_NET_ADMIN',
  NO_KERNEL_SUPPORT: 'the kernel cannot list flows: load the module nf_conntrack_netlink',
  TIMED_OUT: 'timed out after timeoutMs and was ended: raise the limit',
  ABORTED: 'aborted by the caller',
  FAILED: 'conntrack failed: see its message',
} as const

export type ConntrackErrorCode = keyof typeof CONNTRACK_ERRORS

/** The table of flows could not be read or changed. Match on `code`; the message is for people, and says what to do next. */
export class ConntrackError extends Error {
  override readonly name = 'ConntrackError'
  readonly code: ConntrackErrorCode
  readonly argv: readonly string[]
  /** Undefined where the process did not start, or was ended by a signal. */
  readonly exitCode: number | undefined
  readonly stderr: string

  constructor(
    code: ConntrackErrorCode,
    { argv, exitCode, stderr = '' }: ConntrackErrorDetails,
    options?: ErrorOptions,
  ) {
    const said = stderr.trim().split('\n')[0] ?? ''
    super(`${argv.join(' ')}: ${CONNTRACK_ERRORS[code]}${said === '' ? '' : `; ${said}`}`, options)
    this.code = code
    this.argv = argv
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

interface ConntrackErrorDetails {
  readonly argv: readonly string[]
  readonly exitCode?: number | undefined
  readonly stderr?: string | undefined
}

/** What decides which flows lost their target. */
export interface FlowRules {
  readonly served: ServedFronts
  /** `frontKey`s of fronts that were there before. Those that are there now are judged as such. */
  readonly formerFronts: ReadonlySet<string>
}

/** The flows that lead to what no longer serves. */
export const planFlowDeletions = ({
  flows,
  ...rules
}: FlowRules & { readonly flows: readonly Flow[] }): readonly Flow[] => flows.filter((flow) => isStale(flow, rules))

/**
 * Whether a flow has to go, so that its next packet meets the rules anew: UDP has no end that conntrack could see, and a
 * flow that is used never expires.
 *
 * Its original destination is a front, and its packets go to nothing that serves that front; also where they go through
 * untranslated, because the flow is older than the endpoints. Where nothing serves it, or it is a front no more, those
 * alone that are translated: others went their own way by the rules, such as the node's own packets to a load balancer.
 *
 * Node ports count on the addresses alone on which they answer: another destination with that port belongs to another server
 * flow. So is one that is tracked in a zone of its own and goes untranslated: Open vSwitch tracks packets before they come
 * to iptables.
 */
export function isStale(flow: Flow, { served, formerFronts }: FlowRules): boolean {
  const { family, protocol, zone, original, reply } = flow
  if (protocol !== 'udp' || family !== served.family) return false
  const keys = frontKeysAt(served, { address: original.dst, port: original.dport })
  if (!keys.some((key) => served.targets.has(key) || formerFronts.has(key))) return false
  const target = endpointKey({ address: reply.src, port: reply.sport })
  const serving = keys.flatMap((key) => served.targets.get(key) ?? [])
  if (serving.some((targets) => targets.has(target))) return false
  return isTranslated(flow) || (zone === 0 && serving.some((targets) => targets.size > 0))
}

/** What flows of one family are judged by: a copy, so that the state may move on. */
export interface ServedFronts {
  readonly family: IpFamily
  /** By `frontKey`, the `endpointKey`s of what serves each UDP front. None: the front is there, and nothing serves it. */
  readonly targets: ReadonlyMap<string, ReadonlySet<string>>
  /** In canonical spelling. */
  readonly nodePortAddresses: ReadonlySet<string>
  /** Node ports answer on all of 127.0.0.0/8. */
  readonly anyLoopback: boolean
}

export interface ServedFrontsInput {
  readonly state: Pick<State, 'node' | 'services' | 'endpoints'>
  readonly config: Pick<ProxyConfig, 'nodePortAddresses' | 'localhostNodePorts'>
  readonly family: IpFamily
  /** What the node's interfaces have. Undefined: not looked at, and taken to be those of the Node object, and loopback. */
  readonly nodeAddresses?: readonly string[] | undefined
}

/**
 * The UDP fronts of a state, and what serves them. Where several service ports claim one front, what serves any of them
 * counts: a flow that arrives is not cut off.
 */
export function servedFrontsOf(input: ServedFrontsInput): ServedFronts {
  const { state, family } = input
  const targets = new Map<string, Set<string>>()
  for (const port of state.services.values()) {
    if (port.protocol !== 'UDP' || port.family !== family) continue
    const serving = (state.endpoints.get(port.id) ?? []).filter(serves).map(endpointKey)
    for (const front of frontsOf(port)) {
      const key = frontKey(front)
      targets.set(key, new Set([...(targets.get(key) ?? []), ...serving]))
    }
  }
  return { family, targets, ...nodePortAddressesIn(input) }
}

/** The `frontKey`s of the fronts that a packet to an address and port may be for. */
function frontKeysAt(
  { family, nodePortAddresses, anyLoopback }: ServedFronts,
  { address, port }: { readonly address: string; readonly port: number },
): readonly string[] {
  const own = frontKey({ type: 'clusterIP', family, protocol: 'UDP', address, port })
  const mayBeNodePort = nodePortAddresses.has(address) || (anyLoopback && isLoopback(address))
  return mayBeNodePort ? [own, frontKey(nodePortFront(family, port))] : [own]
}

/** Whether two judge every flow alike. */
export const servesAlike = (a: ServedFronts, b: ServedFronts): boolean =>
  a.family === b.family &&
  a.anyLoopback === b.anyLoopback &&
  isSameSet(a.nodePortAddresses, b.nodePortAddresses) &&
  a.targets.size === b.targets.size &&
  [...a.targets].every(([front, targets]) => isSameSet(targets, b.targets.get(front)))

const isSameSet = (a: ReadonlySet<string>, b: ReadonlySet<string> | undefined): boolean =>
  b?.size === a.size && [...a].every((each) => b.has(each))

const nodePortFront = (family: IpFamily, port: number): Front => ({ type: 'nodePort', family, protocol: 'UDP', port })

/**
 * Whether an endpoint still answers: more of them than the rules choose for new flows (those on other nodes and in other
 * zones, those that terminate and still serve), because a flow that is there already does well to stay where it is.
 */
const serves = ({ ready, serving, terminating }: Endpoint): boolean => ready || (serving && terminating)

/** The addresses on which the rules let node ports answer. */
function nodePortAddressesIn({
  state: { node },
  config,
  family,
  nodeAddresses,
}: ServedFrontsInput): Pick<ServedFronts, 'nodePortAddresses' | 'anyLoopback'> {
  const onLocalhost = answersOnLocalhost(config, family, node)
  const chosen = nodePortAddressesOf(config, family, { node, interfaceAddresses: nodeAddresses })
  const addresses = chosen === 'all' ? (nodeAddresses ?? node?.addresses ?? []) : chosen
  return {
    nodePortAddresses: new Set(addresses.filter((address) => onLocalhost || !isLoopback(address))),
    anyLoopback: onLocalhost && chosen === 'all',
  }
}

/**
 * The UDP fronts that Services have or had, each once: of what a log holds, in whichever versions, those that a start has
 * to look after besides the fronts of its state.
 */
export function udpFrontsOf(services: Iterable<KubernetesObject>): readonly Front[] {
  const fronts = new Map<string, Front>()
  for (const service of services) {
    if (service.kind !== 'Service' || !mayHaveUdp(service)) continue
    for (const port of servicePortsOf(service).ports) {
      if (port.protocol !== 'UDP') continue
      for (const front of frontsOf(port)) fronts.set(frontKey(front), front)
    }
  }
  return [...fronts.values()]
}

/** Most Services have none, and reading one costs far more than this. */
function mayHaveUdp({ spec }: KubernetesObject): boolean {
  const ports = isJsonObject(spec) ? spec['ports'] : undefined
  return Array.isArray(ports) && ports.some((port) => isJsonObject(port) && protocolOf(port['protocol']) === 'UDP')
}
