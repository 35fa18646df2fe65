import { cidrContains, parseAddress, parseCidr, type Cidr, type IpAddress, type IpFamily } from '../model/address.js'
import { assertNever } from '../model/language.js'
import { PROTOCOLS, type Protocol } from '../model/names.js'
import type { NodeInfo } from '../model/node.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { State } from '../state/state.js'
import { type PacketSemantics, packetSemanticsOf } from './packet-semantics.js'

/** The part of a state that packets are answered from. */
export type InForce = Pick<State, 'services' | 'endpoints'> & {
  readonly node?: State['node'] | undefined
  /** Absent: none are known. */
  readonly serviceCidrs?: State['serviceCidrs'] | undefined
}

/** A packet, and all that its fate depends on but the fronts that it matches. */
export interface Way {
  readonly inForce: InForce
  readonly config: ProxyConfig
  readonly packet: ReadPacket
  readonly source: Source
  /** Its destination is one of the node's own addresses. */
  readonly toNode: boolean
  readonly semantics: PacketSemantics
}

/** What the sender of a packet is to the node. */
export interface Source {
  /** For people: `10.244.1.9`, `the node (192.168.55.10)`, `outside`. */
  readonly name: string
  /** Absent for `outside`, and for a node whose address is not known. */
  readonly address: IpAddress | undefined
  /** The node itself sends it. */
  readonly own: boolean
  /** A pod of this node sends it; undefined where nothing is configured to tell. */
  readonly localPod: boolean | undefined
  /** What was taken for granted to say so. */
  readonly assumption?: string
}

export function sourceOf(inForce: InForce, config: ProxyConfig, packet: ReadPacket): Source {
  const { from } = packet
  if (from === 'outside') return withLocality({ name: 'outside', address: undefined, own: false })
  if (from === 'node') {
    const address = ownSourceFor(inForce, packet.to)
    return withLocality({ name: `the node${address ? ` (${address.text})` : ''}`, address, own: true })
  }
  return withLocality({ name: from.text, address: from, own: isOwnAddress(inForce.node, from) })

  function withLocality(sender: Sender): Source {
    return { ...sender, ...localityOf(sender, { inForce, config, packet }) }
  }
}

/** Whether a source lies in one of the CIDRs. One without a known address is in those alone that hold every address. */
export const sourceIsIn = (cidrs: readonly Cidr[], { address }: Pick<Source, 'address'>): boolean =>
  cidrs.some((cidr) => (address === undefined ? cidr.prefix === 0 : cidrContains(cidr, address)))

type Sender = Pick<Source, 'name' | 'address' | 'own'>
type Locality = Pick<Source, 'localPod' | 'assumption'>

interface Surroundings {
  readonly inForce: InForce
  readonly config: ProxyConfig
  readonly packet: ReadPacket
}

/** The address that the node's own packets carry: the destination itself where that is the node's, else the node IP. */
function ownSourceFor({ node }: InForce, to: IpAddress): IpAddress | undefined {
  if (isLoopback(to)) return parseAddress(to.family === 'IPv4' ? '127.0.0.1' : '::1')
  if (isOwnAddress(node, to)) return to
  // Which address packets carry is decided by the machine, whatever the proxy's configuration says.
  const nodeIp = nodeIpOf(node, to.family, {})
  return nodeIp === undefined ? undefined : parseAddress(nodeIp)
}

function localityOf(sender: Sender, { inForce, config, packet }: Surroundings): Locality {
  const { detectLocal } = config
  const { family } = packet.to
  switch (detectLocal.mode) {
    case 'None':
      return { localPod: undefined }
    case 'ClusterCIDR':
      return byCidr(cidrsOfFamily(detectLocal.cidrs, family), sender)
    case 'NodeCIDR':
      return byCidr(cidrsOfFamily(inForce.node?.podCIDRs ?? [], family), sender)
    case 'BridgeInterface':
      return byInterface((name) => name === detectLocal.bridge, sender, { inForce, packet })
    case 'InterfaceNamePrefix':
      return byInterface((name) => name.startsWith(detectLocal.prefix), sender, { inForce, packet })
    default:
      return assertNever(detectLocal)
  }
}

/** Without a CIDR of the family, kube-proxy has nothing to tell pods by in that family. */
const byCidr = (cidrs: readonly Cidr[], sender: Sender): Locality => ({
  localPod: cidrs.length === 0 ? undefined : sourceIsIn(cidrs, sender),
})

function byInterface(
  isPodInterface: (name: string) => boolean,
  { address, own }: Sender,
  { inForce, packet }: Pick<Surroundings, 'inForce' | 'packet'>,
): Locality {
  // What the node sends arrives by no interface.
  if (own) return { localPod: false }
  if (packet.interface !== undefined) return { localPod: isPodInterface(packet.interface) }
  if (address === undefined) return { localPod: false }
  const localPod = seemsLocalPod(inForce, address)
  const how = localPod ? "by a pod's interface" : "by another interface than a pod's"
  return { localPod, assumption: `${address.text} is taken to arrive ${how}` }
}

function seemsLocalPod({ node, endpoints }: InForce, address: IpAddress): boolean {
  if (node === undefined) return false
  if (sourceIsIn(cidrsOfFamily(node.podCIDRs, address.family), { address })) return true
  for (const list of endpoints.values()) {
    if (list.some((endpoint) => endpoint.address === address.text && endpoint.nodeName === node.name)) return true
  }
  return false
}

const LOOPBACK_V4 = parseCidr('127.0.0.0/8')

// Apart from model/node-addresses.ts on purpose: rules are planned by that, and checked against this.

export const isLoopback = (address: IpAddress): boolean =>
  address.text === '::1' || (LOOPBACK_V4 !== undefined && cidrContains(LOOPBACK_V4, address))

/** Whether the node takes packets for this address itself: the addresses of the Node, and loopback. */
export const isOwnAddress = (node: NodeInfo | undefined, address: IpAddress): boolean =>
  isLoopback(address) || (node?.addresses.includes(address.text) ?? false)

/** The node IP of a family: the configured one, else the Node's first address. */
export const nodeIpOf = (
  node: NodeInfo | undefined,
  family: IpFamily,
  { nodeIp }: Pick<ProxyConfig, 'nodeIp'>,
): string | undefined =>
  [...(nodeIp === undefined ? [] : [nodeIp]), ...(node?.addresses ?? [])].find(
    (address) => address.includes(':') === (family === 'IPv6'),
  )

/**
 * Whether node ports answer on an address. Every address of the node counts where nodePortAddresses is unset, has no
 * CIDR of the family, or has one that holds everything (kube-proxy: a missing family matches all). IPv6 loopback never
 * does, IPv4 loopback only with localhostNodePorts.
 */
export function nodePortsAnswerOn({ node, config }: NodePortSettings, address: IpAddress): boolean {
  if (!isOwnAddress(node, address)) return false
  if (isLoopback(address) && !(address.family === 'IPv4' && hasLocalhostNodePorts({ node, config }))) return false
  const cidrs = cidrsOfFamily(nodePortCidrs(node, config), address.family)
  if (cidrs.length === 0 || cidrs.some((cidr) => cidr.prefix === 0)) return true
  // With CIDRs, only addresses that an interface has count: of 127.0.0.0/8 that is one.
  if (isLoopback(address) && address.text !== '127.0.0.1') return false
  return cidrs.some((cidr) => cidrContains(cidr, address))
}

/**
 * Whether localhostNodePorts is at work: kube-proxy forgets it where nodePortAddresses leave IPv4 loopback out, and with
 * it the rule that guards loopback.
 */
export function hasLocalhostNodePorts({ node, config }: NodePortSettings): boolean {
  const cidrs = cidrsOfFamily(nodePortCidrs(node, config), 'IPv4')
  const asksForIt = packetSemanticsOf(config.mode).loopbackNodePorts && config.localhostNodePorts
  return asksForIt && (cidrs.length === 0 || cidrs.some(touchesLoopback))
}

interface NodePortSettings {
  readonly node: NodeInfo | undefined
  readonly config: ProxyConfig
}

const touchesLoopback = (cidr: Cidr): boolean =>
  cidrContains(cidr, { family: 'IPv4', text: '127.0.0.1' }) || cidr.text.startsWith('127.')

function nodePortCidrs(node: NodeInfo | undefined, config: ProxyConfig): readonly string[] {
  const { nodePortAddresses } = config
  if (nodePortAddresses === 'all') return []
  if (nodePortAddresses !== 'primary') return nodePortAddresses
  // kube-proxy leaves a family out in which the node is known by loopback alone.
  return (['IPv4', 'IPv6'] as const).flatMap((family) => {
    const address = parseAddress(nodeIpOf(node, family, config) ?? '')
    return address === undefined || isLoopback(address) ? [] : [`${address.text}/${family === 'IPv4' ? 32 : 128}`]
  })
}

/** The CIDRs of one family in a list of texts. What is no CIDR is left out: configuration and objects were checked before. */
export const cidrsOfFamily = (texts: readonly string[], family: IpFamily): readonly Cidr[] =>
  texts.map(parseCidr).filter((cidr) => cidr?.family === family) as readonly Cidr[]

/** The first packet of a connection, as it is asked about. */
export interface Packet {
  /**
   * Where it comes from: an address; `node`, a process of the node itself; `outside`, some host that lies in no CIDR
   * that anything mentions (short of 0.0.0.0/0 and ::/0) and whose packets arrive by no pod's interface.
   */
  readonly from: string
  /** An address: names are resolved by the caller. */
  readonly to: string
  readonly port: number
  readonly protocol: Protocol | Lowercase<Protocol>
  /** The interface by which it arrives, for detectLocalMode BridgeInterface and InterfaceNamePrefix. */
  readonly interface?: string
}

export interface ReadPacket {
  readonly from: IpAddress | 'node' | 'outside'
  readonly to: IpAddress
  readonly port: number
  readonly protocol: Protocol
  readonly interface: string | undefined
}

/** Checks a packet and brings its addresses into canonical spelling. Throws a RouteError that names what is wrong. */
export function readPacket(packet: Packet): ReadPacket {
  const to = readAddress('destination', packet.to)
  const from = packet.from === 'node' || packet.from === 'outside' ? packet.from : readAddress('source', packet.from)
  if (typeof from === 'object' && from.family !== to.family) {
    throw new RouteError('FAMILY_MISMATCH', `${packet.from} is ${from.family} and ${packet.to} is ${to.family}`)
  }
  if (!Number.isInteger(packet.port) || packet.port < 1 || packet.port > 65_535) {
    throw new RouteError('NOT_A_PORT', `${packet.port} is not a port: give a whole number from 1 to 65535`)
  }
  return { from, to, port: packet.port, protocol: readProtocol(packet.protocol), interface: packet.interface }
}

function readAddress(what: string, text: string): IpAddress {
  const address = parseAddress(text)
  if (address !== undefined) return address
  const others = what === 'source' ? ', nor "node" or "outside"' : ''
  throw new RouteError('NOT_AN_ADDRESS', `the ${what} ${JSON.stringify(text)} is not an IP address${others}`)
}

function readProtocol(text: string): Protocol {
  const protocol = PROTOCOLS.find((known) => known === text.toUpperCase())
  if (protocol !== undefined) return protocol
  throw new RouteError('UNKNOWN_PROTOCOL', `${JSON.stringify(text)} is none of ${PROTOCOLS.join(', ')}`)
}

/** What can be wrong with a question about a packet. */
export const ROUTE_ERROR_CODES = {
  NOT_AN_ADDRESS: 'the source or the destination is not an IP address',
  NOT_A_PORT: 'the port is not a whole number from 1 to 65535',
  UNKNOWN_PROTOCOL: 'the protocol is not TCP, UDP or SCTP',
  FAMILY_MISMATCH: 'the source and the destination are of different IP families',
} as const
export type RouteErrorCode = keyof typeof ROUTE_ERROR_CODES

/** A packet that cannot be one. The message is one line for the person who asked; programs look at `code`. */
export class RouteError extends Error {
  readonly code: RouteErrorCode

  constructor(code: RouteErrorCode, message: string) {
    super(message)
    this.name = 'RouteError'
    this.code = code
  }
}
