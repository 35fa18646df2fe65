import { cidrContains, parseAddress, parseCidr, type IpFamily } from '../model/address.js'
import { isLoopback, type NodeInfo } from '../model/node.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import { frontsOf, type State } from '../state/state.js'

/** A packet as it comes to a node. */
export interface ClassedPacket {
  readonly family: IpFamily
  /** An address; `node`: the one that the node's own packets carry; `outside`: of nobody. */
  readonly source: string
  readonly destination: string
}

interface ClassQuestion {
  readonly packet: ClassedPacket
  /** Those that the packet can meet: a part of a State. */
  readonly services: State['services']
  readonly config: Pick<ProxyConfig, 'detectLocal' | 'nodePortAddresses'>
  readonly serviceCidrs: State['serviceCidrs']
}

/**
 * Gives a text for a Node: Nodes with the same one do the same with the packet, whichever data plane follows the Services, but for
 * those that `singledOut` names. It has all that rules and their meaning ask of a Node beside its name: its zone, which of the addresses that
 * are asked for it has, and in which CIDRs its own address lies.
 */
export function nodeClassOf({ packet, services, config, serviceCidrs }: ClassQuestion): (node: NodeInfo) => string {
  const { family, source, destination } = packet
  const { detectLocal, nodePortAddresses } = config
  const places = new Set([source, destination])
  const texts = new Set(serviceCidrs)
  for (const port of services.values()) {
    for (const { address } of frontsOf(port)) if (address !== undefined) places.add(address)
    for (const range of port.loadBalancerSourceRanges) texts.add(range)
  }
  if (detectLocal.mode === 'ClusterCIDR') for (const text of detectLocal.cidrs) texts.add(text)
  if (typeof nodePortAddresses !== 'string') for (const text of nodePortAddresses) texts.add(text)
  const cidrs = [...texts].flatMap((text) => parseCidr(text) ?? [])
  const sourceAddress = parseAddress(source)
  return ({ zone, addresses, podCIDRs }) => {
    // The first of a family is the node IP, and what the node's own packets carry.
    const firsts = (['IPv4', 'IPv6'] as const).map((each) =>
      addresses.find((address) => parseAddress(address)?.family === each),
    )
    const own = parseAddress(firsts[family === 'IPv4' ? 0 : 1] ?? '')
    const ofPods = podCIDRs.flatMap((text) => parseCidr(text) ?? []).filter((cidr) => cidr.family === family)
    return JSON.stringify([
      zone,
      // Names with addresses of both families are taken for the Node's first.
      addresses.map((address) => (address.includes(':') ? 6 : 4)),
      firsts.map((address) => address !== undefined && isLoopback(address)),
      addresses.flatMap((address, at) => (places.has(address) ? [[address, at]] : [])),
      own && cidrs.map((cidr) => cidrContains(cidr, own)),
      ofPods.map((cidr) => [
        cidr.prefix === 0,
        sourceAddress !== undefined && cidrContains(cidr, sourceAddress),
        own !== undefined && cidrContains(cidr, own),
      ]),
    ])
  }
}

/** Nodes by the addresses that they have. */
export function nodesByAddress(nodes: Iterable<NodeInfo>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const { name, addresses } of nodes)
    for (const address of addresses) found.set(address, [...(found.get(address) ?? []), name])
  return found
}

/** Names of Nodes that endpoints name, by where they are or by a hint, or whose address one has. */
export function singledOut(
  endpoints: State['endpoints'],
  byAddress: ReturnType<typeof nodesByAddress>,
): ReadonlySet<string> {
  const names = new Set<string>()
  for (const list of endpoints.values())
    for (const { nodeName, nodeHints = [], address } of list) {
      if (nodeName !== undefined) names.add(nodeName)
      for (const name of nodeHints) names.add(name)
      for (const name of byAddress.get(address) ?? []) names.add(name)
    }
  return names
}
