import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '../../model/proxy-config.js'
import { nodeInfoWith, stateOf, type PortDescription, type StateDescription } from '../../testing/state-builder.js'
import { route, type Route } from '../route.js'
import type { InForce, Packet } from '../source.js'

/** The cluster of the scenarios: pods in 10.244.0.0/16 and fd00:10:244::/48, told by that; the node is node-a. */
export const CLUSTER_CIDR: ProxyConfig = {
  ...DEFAULT_PROXY_CONFIG,
  detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
}

export interface Scenario {
  readonly ports: readonly PortDescription[]
  readonly node?: StateDescription['node'] | 'unknown'
  readonly config?: Partial<ProxyConfig>
  readonly serviceCidrs?: readonly string[]
}

/** What becomes of `tcp 10.244.1.5 -> 10.96.0.10:80 via cali1`, in one line for a table. */
export function fate({ ports, node = {}, config = {}, serviceCidrs = [] }: Scenario, packet: string): string {
  const state = stateOf({ ports, serviceCidrs, ...(node !== 'unknown' && { node: nodeInfoWith(node) }) })
  return fateIn(state, { ...CLUSTER_CIDR, ...config }, packet)
}

export const fateIn = (inForce: InForce, config: ProxyConfig, packet: string): string =>
  told(route(inForce, config, packetOf(packet)))

export function packetOf(text: string): Packet {
  const match = /^(tcp|udp|sctp) (\S+) -> (?:\[([^\]]+)\]|([^:\s]+)):(\d+)(?: via (\S+))?$/.exec(text)
  if (match === null) throw new Error(`not a packet: ${text}`)
  const [, protocol, from = '', ipv6, ipv4, port, via] = match
  return {
    protocol: protocol as 'tcp' | 'udp' | 'sctp',
    from,
    to: ipv6 ?? ipv4 ?? '',
    port: Number(port),
    ...(via !== undefined && { interface: via }),
  }
}

/** `10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2`, or `rejected: shop/cart:http has no endpoints`. */
function told({ verdict, reason, endpoints }: Route): string {
  if (verdict !== 'endpoints') return `${verdict}: ${reason}`
  const each = endpoints.map(({ address, port, odds, masqueraded }) => {
    const share = odds === 1 ? '' : ` 1/${Math.round(1 / odds)}`
    return `${address.includes(':') ? `[${address}]` : address}:${port}${share}${masqueraded ? ' masqueraded' : ''}`
  })
  return each.join(', ')
}
