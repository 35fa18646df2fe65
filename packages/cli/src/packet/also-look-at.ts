import {
  cidrContains,
  type Front,
  frontsOf,
  type IpFamily,
  type NodeInfo,
  parseAddress,
  parseCidr,
  type Protocol,
  type ServicePort,
  type TracedEndpoint,
} from '@pointsman/core'
import type { Style } from '../output/terminal.js'
import type { Names } from './names.js'
import type { ResolvedPacket } from './resolve-packet.js'

/** Something besides the rules that decides about traffic, and how to check it on the node. */
export interface AlsoLookAt {
  readonly code: LookCode
  /** One sentence for a person. */
  readonly message: string
  /** A shell command for the node; it changes nothing. */
  readonly command: string
}

/** What no rule shows, and yet decides. */
export const LOOK_CODES = {
  HAIRPIN: 'a pod may reach itself, for which a port of a Linux bridge needs hairpin mode',
  BRIDGE: 'pods on one Linux bridge, whose replies pass conntrack only if the bridge calls iptables',
  SOURCE_ADDRESS: 'which source address the endpoints see',
  CONNTRACK_UDP: 'conntrack entries of UDP clients, which outlive a change of the endpoints',
} as const
export type LookCode = keyof typeof LOOK_CODES

/** What is known of one packet, or of the traffic of one service port. An absent fact does not apply. */
export interface TrafficFacts {
  readonly family: IpFamily
  /** A pod of this node that may reach itself through the Service. */
  readonly selfReached?: string | undefined
  /** A pod of this node, which other pods of it reach without masquerade. */
  readonly sameNode?: string | undefined
  /** UDP is sent here. */
  readonly udp?: Destination | undefined
  /** Where traffic from outside arrives, and whether its source address is kept. */
  readonly external?: (Destination & { readonly protocol: Protocol; readonly keepsSource: boolean }) | undefined
}

interface Destination {
  readonly address: string
  readonly port: number
}

/** One line for each fact that applies. */
export function alsoLookAt({ family, selfReached, sameNode, udp, external }: TrafficFacts): readonly AlsoLookAt[] {
  const looks: AlsoLookAt[] = []
  if (selfReached !== undefined)
    looks.push({
      code: 'HAIRPIN',
      message: `hairpin: ${selfReached} may reach itself through the Service; on a Linux bridge that requires hairpin mode of its port (1)`,
      command: 'grep . /sys/class/net/*/brport/hairpin_mode',
    })
  if (sameNode !== undefined)
    looks.push({
      code: 'BRIDGE',
      message: `same node: replies of ${sameNode} to a Pod on the same Linux bridge are translated back only with this setting (1)`,
      command: `sysctl net.bridge.bridge-nf-call-${family === 'IPv4' ? 'iptables' : 'ip6tables'}`,
    })
  if (external !== undefined)
    looks.push({
      code: 'SOURCE_ADDRESS',
      message: external.keepsSource
        ? 'source address: endpoints see the one that arrives at the node, which a load balancer may have replaced (first src=)'
        : "source address: endpoints and NetworkPolicies see the node's instead of the client's (second dst=)",
      command: conntrackCommand(family, external),
    })
  if (udp !== undefined)
    looks.push({
      code: 'CONNTRACK_UDP',
      message: 'conntrack: a UDP client that keeps its source port keeps its old endpoint as long as this lists it',
      command: conntrackCommand(family, { ...udp, protocol: 'UDP' }),
    })
  return looks
}

function conntrackCommand(
  family: IpFamily,
  { address, port, protocol }: Destination & { readonly protocol: Protocol },
): string {
  const familyOption = family === 'IPv6' ? '-f ipv6 ' : ''
  return `conntrack -L ${familyOption}-p ${protocol.toLowerCase()} --orig-dst ${address} --orig-port-dst ${port}`
}

export const alsoLookAtLines = (looks: readonly AlsoLookAt[], style: Style): readonly string[] =>
  looks.length === 0
    ? []
    : [
        '',
        'Also look at, on the node:',
        ...looks.map(({ message, command }) => `  ${message}: ${style.bold(`\`${command}\``)}`),
      ]

interface TracedTraffic {
  readonly packet: ResolvedPacket
  readonly trace: { readonly endpoints: readonly Pick<TracedEndpoint, 'address' | 'source'>[] }
  readonly names: Names | undefined
  readonly node: NodeInfo | undefined
}

/** What else to look at for a packet that was traced. */
export function alsoLookAtTrace({ packet, trace, names, node }: TracedTraffic): readonly AlsoLookAt[] {
  const { family, protocol, source, destination: address, destinationPort: port } = packet
  const { endpoints } = trace
  const reached = endpoints.map((endpoint) => endpoint.address)
  const front = frontAt(packet, { names, node })
  const isExternal = front !== undefined && front.type !== 'clusterIP'
  const isForService = endpoints.length > 0 || front !== undefined
  const neighbour = endpoints.find(
    (endpoint) =>
      endpoint.source.rewritten === 'no' &&
      endpoint.address !== source &&
      isPodOfNode(endpoint.address, { names, node }),
  )
  return alsoLookAt({
    family,
    selfReached: packet.from !== 'node' && reached.includes(source) ? source : undefined,
    sameNode: packet.from === 'pod' ? neighbour?.address : undefined,
    udp: protocol === 'UDP' && isForService ? { address, port } : undefined,
    external:
      packet.from === 'outside' && isExternal && endpoints.length > 0 && protocol !== 'ICMP'
        ? { address, port, protocol, keepsSource: endpoints.every(({ source: seen }) => seen.rewritten === 'no') }
        : undefined,
  })
}

type Known = Pick<TracedTraffic, 'names' | 'node'>

/** The frontend that a packet is sent to; undefined where none is known. */
function frontAt(
  { protocol, family, destination, destinationPort }: ResolvedPacket,
  { names, node }: Known,
): Front | undefined {
  const isHere = (front: Front): boolean =>
    front.port === destinationPort &&
    (front.address ?? (node?.addresses.includes(destination) === true ? destination : undefined)) === destination
  const portsOn = [...(names?.services.values() ?? [])].filter(
    (one: ServicePort) => one.protocol === protocol && one.family === family,
  )
  for (const servicePort of portsOn) {
    const front = frontsOf(servicePort).find(isHere)
    if (front !== undefined) return front
  }
  return undefined
}

/** Whether an address is that of a pod on the node which has a network of its own. */
function isPodOfNode(text: string, { names, node }: Known): boolean {
  if (node === undefined || node.addresses.includes(text)) return false
  const address = parseAddress(text)
  const isInCidr = node.podCIDRs.some((podCidr) => {
    const cidr = parseCidr(podCidr)
    return cidr !== undefined && address !== undefined && cidrContains(cidr, address)
  })
  if (isInCidr) return true
  for (const list of names?.endpoints.values() ?? [])
    if (list.some((endpoint) => endpoint.address === text && endpoint.nodeName === node.name)) return true
  return false
}
