import { cidrContains, parseAddress, parseCidr, type Cidr, type IpAddress, type IpFamily } from '../model/address.js'
import type { NodeInfo } from '../model/node-info.js'
import type { ProxyConfig } from '../model/proxy-config.js'

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
  // With CIDRs, only addresses that an interface bears count: of 127.0.0.0/8 that is one.
  if (isLoopback(address) && address.text !== '127.0.0.1') return false
  return cidrs.some((cidr) => cidrContains(cidr, address))
}

/**
 * Whether localhostNodePorts is at work: kube-proxy forgets it where nodePortAddresses leave IPv4 loopback out, and with
 * it the rule that guards loopback.
 */
export function hasLocalhostNodePorts({ node, config }: NodePortSettings): boolean {
  const cidrs = cidrsOfFamily(nodePortCidrs(node, config), 'IPv4')
  return config.localhostNodePorts && (cidrs.length === 0 || cidrs.some(touchesLoopback))
}

export interface NodePortSettings {
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
