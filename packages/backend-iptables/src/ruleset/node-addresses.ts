import {
  cidrContains,
  parseAddress,
  parseCidr,
  type Cidr,
  type IpAddress,
  type IpFamily,
  type NodeInfo,
  type ProxyConfig,
} from '@pointsman/core'

/** What the node is known by. */
export interface NodeAddresses {
  readonly node: NodeInfo | undefined
  /** The addresses that its interfaces bear. Undefined: not looked at, and taken to be those of the Node, and loopback. */
  readonly interfaceAddresses?: readonly string[] | undefined
}

/** The node's own address in one family; loopback where it has none, as in kube-proxy. */
export function nodeIpOf(node: NodeInfo | undefined, family: IpFamily): string {
  return node?.addresses.find((address) => parseAddress(address)?.family === family) ?? LOOPBACK[family]
}

/**
 * On which addresses node ports answer: all of the node's, or a sorted list. A family that nodePortAddresses leave out
 * has all, and so has one with a CIDR that holds everything (NodePortAddresses of kube-proxy 1.36).
 */
export function nodePortAddressesOf(
  config: Pick<ProxyConfig, 'nodePortAddresses'>,
  family: IpFamily,
  addresses: NodeAddresses,
): 'all' | readonly string[] {
  const cidrs = nodePortCidrs(config, family, addresses.node)
  if (cidrs.length === 0 || cidrs.some(({ prefix }) => prefix === 0)) return 'all'
  const found = addressesOfNode(addresses)
    .flatMap((text) => parseAddress(text) ?? [])
    .filter((address) => cidrs.some((cidr) => cidrContains(cidr, address)))
  return [...new Set(found.map(({ text }) => text))].toSorted()
}

/**
 * Whether node ports answer on IPv4 loopback: not where nodePortAddresses leave it out (127.0.0.0 itself counts, or a
 * network within 127.0.0.0/8), and never in IPv6, where the kernel has no route_localnet.
 */
export function answersOnLocalhost(
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'localhostNodePorts'>,
  family: IpFamily,
  node: NodeInfo | undefined,
): boolean {
  if (family === 'IPv6' || !config.localhostNodePorts) return false
  const cidrs = nodePortCidrs(config, family, node)
  return cidrs.length === 0 || cidrs.some((cidr) => cidr.text.startsWith('127.') || cidrContains(cidr, FIRST_LOOPBACK))
}

export const isLoopback = (address: string): boolean => address === LOOPBACK.IPv6 || address.startsWith('127.')

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const
const FIRST_LOOPBACK: IpAddress = { family: 'IPv4', text: '127.0.0.0' }

function addressesOfNode({ node, interfaceAddresses }: NodeAddresses): readonly string[] {
  return interfaceAddresses ?? [...(node?.addresses ?? []), LOOPBACK.IPv4, LOOPBACK.IPv6]
}

function nodePortCidrs(
  { nodePortAddresses }: Pick<ProxyConfig, 'nodePortAddresses'>,
  family: IpFamily,
  node: NodeInfo | undefined,
): readonly Cidr[] {
  if (nodePortAddresses === 'all') return []
  const texts = nodePortAddresses === 'primary' ? primaryCidrs(family, node) : nodePortAddresses
  return texts.flatMap((text) => parseCidr(text) ?? []).filter((cidr) => cidr.family === family)
}

/** `primary`: the node IP of each family. A family in which the node has none is as if it were left out. */
function primaryCidrs(family: IpFamily, node: NodeInfo | undefined): readonly string[] {
  const nodeIp = nodeIpOf(node, family)
  return isLoopback(nodeIp) ? [] : [`${nodeIp}/${family === 'IPv4' ? 32 : 128}`]
}
