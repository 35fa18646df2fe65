import {
  route,
  displayName,
  frontsOf,
  type InForce,
  type Packet,
  type Route,
  type Front,
  type IpFamily,
  type NodeInfo,
  type ProxyConfig,
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
  /** Where it was asked for: of a node port the node's address. */
  readonly address: string
  /** One for each sender. */
  readonly ways: readonly SenderWay[]
  /** Those that say whether it is served: where source ranges guard it, they alone. */
  readonly decisive: readonly SenderWay[]
}

/** The ways of all fronts of a service port. A node port of a node without an address of the family has none. */
export function serviceWays(port: ServicePort, inForce: InForce, config: ProxyConfig): readonly FrontWays[] {
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
