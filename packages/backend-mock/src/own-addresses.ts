import {
  cidrContains,
  parseCidr,
  type IpAddress,
  type IpFamily,
  type NodeInfo,
  type ProxyConfig,
} from '@pointsman/core'

const LOOPBACK_V4 = parseCidr('127.0.0.0/8')

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
