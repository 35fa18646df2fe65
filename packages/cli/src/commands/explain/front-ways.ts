import {
  displayName,
  type Front,
  frontsOf,
  type InForce,
  type IpFamily,
  type NodeInfo,
  nodeWithoutObject,
  type Packet,
  type ProxyConfig,
  route,
  type Route,
  type ServicePort,
} from '@pointsman/core'

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
  /** Of a node port the node's first address; absent where the node has none that is known. */
  readonly address?: string
  /** One for each sender. */
  readonly ways: readonly SenderWay[]
  /** Those that say whether it is served: where source ranges guard it, they alone. */
  readonly decisive: readonly SenderWay[]
}

/** The ways of all fronts of a service port. A node port of a node that has addresses, but none of the family, has none. */
export function serviceWays(port: ServicePort, inForce: InForce, config: ProxyConfig): readonly FrontWays[] {
  const { node } = inForce
  const hasNodePorts = (node?.addresses ?? []).length === 0 || nodeAddress(node, port.family) !== undefined
  return frontsOf(port)
    .filter(({ type }) => type !== 'nodePort' || hasNodePorts)
    .map((front) => frontWays(front, { port, inForce, config }))
}

export interface FrontQuestion {
  readonly port: ServicePort
  readonly inForce: InForce
  readonly config: ProxyConfig
}

export function frontWays(front: Front, { port, inForce, config }: FrontQuestion): FrontWays {
  const address = front.address ?? nodeAddress(inForce.node, port.family)
  const asked = address === undefined ? withSomeAddress({ port, inForce, config }) : { address, inForce }
  const wayFrom = (from: Sender, sender: PacketSource): SenderWay => ({
    from,
    ...route(asked.inForce, config, { to: asked.address, port: front.port, protocol: port.protocol, ...sender }),
  })
  const { node } = inForce
  const ways = SENDERS.map((from) => wayFrom(from, senderOf(from, { node, config, family: port.family })))
  const found = { front, ...(address !== undefined && { address }) }
  const [range] = front.type === 'loadBalancerIP' ? port.loadBalancerSourceRanges : []
  if (range === undefined) return { ...found, ways, decisive: ways }
  const within = wayFrom('ranges', { from: networkOf(range), interface: 'another' })
  return { ...found, ways: [within, ...ways.map((way) => guarded(way, { within, port }))], decisive: [within] }
}

/** Of a node whose addresses are not known: one that its node ports answer on, so that the rest of the answer is known. */
function withSomeAddress({ port: { family }, inForce, config }: FrontQuestion): {
  readonly address: string
  readonly inForce: InForce
} {
  const { nodePortAddresses } = config
  const network = Array.isArray(nodePortAddresses)
    ? (nodePortAddresses as readonly string[]).find((cidr) => isOf(family, cidr) && !cidr.endsWith('/0'))
    : undefined
  const address = network === undefined ? SOME_ADDRESS[family] : networkOf(network)
  const node = inForce.node ?? nodeWithoutObject('')
  return { address, inForce: { ...inForce, node: { ...node, addresses: [...node.addresses, address] } } }
}

/** Of the benchmarking and the documentation networks, as OUTSIDE is, and another one. */
export const SOME_ADDRESS = { IPv4: '198.18.255.254', IPv6: '2001:db8:ffff::fffe' } as const

/** Senders that only the source ranges keep out get the same words. */
function guarded(
  way: SenderWay,
  { within, port }: { readonly within: SenderWay; readonly port: ServicePort },
): SenderWay {
  const isKeptOut = way.verdict === 'dropped' && way.reason !== within.reason
  return isKeptOut ? { ...way, reason: `not in the source ranges of ${displayName(port)}` } : way
}

export type PacketSource = Pick<Packet, 'from' | 'interface'>

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
export function podOf({ node, config: { detectLocal }, family }: Surroundings): PacketSource {
  const cidrs = [...(node?.podCIDRs ?? []), ...(detectLocal.mode === 'ClusterCIDR' ? detectLocal.cidrs : [])]
  const network = cidrs.map(networkOf).find((text) => isOf(family, text))
  const from = network ?? 'outside'
  if (detectLocal.mode === 'BridgeInterface') return { from, interface: detectLocal.bridge }
  return detectLocal.mode === 'InterfaceNamePrefix' ? { from, interface: `${detectLocal.prefix}0` } : { from }
}

/** `10.244.1.0` of `10.244.1.0/24`. */
export const networkOf = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'))

const nodeAddress = (node: NodeInfo | undefined, family: IpFamily): string | undefined =>
  node?.addresses.find((address) => isOf(family, address))

const isOf = (family: IpFamily, address: string): boolean => address.includes(':') === (family === 'IPv6')
