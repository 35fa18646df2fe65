import { cidrContains, parseAddress, parseCidr, type Cidr, type IpAddress, type IpFamily } from './address.js'
import type { NodeInfo } from './node.js'
import type { ProxyConfig } from './proxy-config.js'

/** What the node is known by. */
export interface NodeAddresses {
  readonly node: NodeInfo | undefined
  /** The addresses that its interfaces bear. Undefined: not looked at, and taken to be those of the Node, and loopback. */
  readonly interfaceAddresses?: readonly string[] | undefined
}

/**
 * The node's own address in one family: the configured one, else the Node's; loopback where it has none
 * (detectNodeIPs of kube-proxy 1.36).
 */
export function nodeIpOf(
  node: NodeInfo | undefined,
  family: IpFamily,
  { nodeIp }: Pick<ProxyConfig, 'nodeIp'>,
): string {
  const ofFamily = (address: string): boolean => parseAddress(address)?.family === family
  if (nodeIp !== undefined && ofFamily(nodeIp)) return nodeIp
  return node?.addresses.find(ofFamily) ?? LOOPBACK[family]
}

/**
 * On which addresses node ports answer: all of the node's, or a sorted list. A family that nodePortAddresses leave out
 * has all, and so has one with a CIDR that holds everything (NodePortAddresses of kube-proxy 1.36).
 */
export function nodePortAddressesOf(
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp'>,
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
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp' | 'localhostNodePorts'>,
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
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp'>,
  family: IpFamily,
  node: NodeInfo | undefined,
): readonly Cidr[] {
  const { nodePortAddresses } = config
  if (nodePortAddresses === 'all') return []
  const texts =
    nodePortAddresses === 'primary' ? primaryCidrs(nodeIpOf(node, family, config), family) : nodePortAddresses
  return texts.flatMap((text) => parseCidr(text) ?? []).filter((cidr) => cidr.family === family)
}

/** `primary`: the node IP of each family. A family in which the node has none is as if it were left out. */
function primaryCidrs(nodeIp: string, family: IpFamily): readonly string[] {
  return isLoopback(nodeIp) ? [] : [`${nodeIp}/${family === 'IPv4' ? 32 : 128}`]
}
