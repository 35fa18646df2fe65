import type { IpFamily } from '@pointsman/core'
import { addressOf, crowdOf, FAMILIES, FAR_END, GATEWAY, type Name } from './names.js'

/*
 * A node and its surroundings, a network namespace each, as words for ip(8):
 *
 *     client, stranger, crowd ── node ── internet (answers on every address)
 *                                │ │ └── far-c, far-d: pods of another node
 *                           near-a near-b: pods of this node, a routed link each
 *
 * Everybody but the node sends all it has by the node.
 */

export const NEIGHBOURS = ['client', 'internet', 'near-a', 'near-b', 'far'] as const
export const HOSTS = ['node', ...NEIGHBOURS] as const
export type HostName = (typeof HOSTS)[number]

/** Where the process is that sends for a name. */
export const SENDERS: { readonly [name in Name]?: HostName } = {
  client: 'client',
  stranger: 'client',
  node: 'node',
  'node-2': 'node',
  localhost: 'node',
  internet: 'internet',
  'near-a': 'near-a',
  'near-b': 'near-b',
  'far-c': 'far',
  'far-d': 'far',
  // Where it has the address.
  vip: 'node',
}

/** The node's end of the link of each of its neighbours. */
export const INTERFACES = {
  client: 'outside',
  stranger: 'outside',
  internet: 'uplink',
  'near-a': 'pod-a',
  'near-b': 'pod-b',
  'far-c': 'far',
  'far-d': 'far',
} as const satisfies { readonly [name in Name]?: string }

/** Before there are links: what a link has of this is settled when it is made. */
export const SETTINGS: readonly string[] = [
  // Addresses are unique by construction: none has to be probed for before it is used.
  'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad',
  'echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra',
  'echo 1 > /proc/sys/net/ipv4/ip_forward',
  'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
  'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter',
  'echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter',
  // Many refusals at once are what is asked for here: no kind of ICMP error is limited.
  'echo 0 > /proc/sys/net/ipv4/icmp_ratemask',
  'echo 0 > /proc/sys/net/ipv6/icmp/ratemask',
  'ip link set lo up',
]

interface Link {
  readonly at: string
  readonly to: (typeof NEIGHBOURS)[number]
}

export const LINKS: readonly Link[] = [
  { at: INTERFACES.client, to: 'client' },
  { at: INTERFACES.internet, to: 'internet' },
  { at: INTERFACES['near-a'], to: 'near-a' },
  { at: INTERFACES['near-b'], to: 'near-b' },
  { at: INTERFACES['far-c'], to: 'far' },
]

/** The node's ends of the links, and its routes. */
export const NODE: readonly string[] = [
  ...LINKS.map(({ at }) => `link set ${at} up`),
  ...FAMILIES.flatMap((family) => [
    ...link(INTERFACES.client, addressOf('node', family), addressOf('client', family)),
    ...link(INTERFACES.internet, addressOf('node-2', family), addressOf('internet', family)),
    ...[addressOf('stranger', family), ...crowdOf(family)].map(
      (address) => `route add ${address} via ${addressOf('client', family)}`,
    ),
    // What the node sends anywhere else has its first address.
    `route add default via ${addressOf('internet', family)} src ${addressOf('node', family)}`,
    ...(['near-a', 'near-b'] as const).flatMap((pod) => link(INTERFACES[pod], GATEWAY[family], addressOf(pod, family))),
    ...link(INTERFACES['far-c'], FAR_END[family], addressOf('far-c', family)),
    `route add ${addressOf('far-d', family)} via ${addressOf('far-c', family)}`,
  ]),
]

/** What its neighbours do about theirs. */
export const CONFIGURATION: { readonly [host in (typeof NEIGHBOURS)[number]]: readonly string[] } = {
  client: [
    ...neighbour(['client', 'stranger'], (family) => addressOf('node', family)),
    ...FAMILIES.flatMap((family) => crowdOf(family).map((address) => own(address, 'eth0'))),
  ],
  internet: neighbour(['internet'], (family) => addressOf('node-2', family)),
  'near-a': neighbour(['near-a'], (family) => GATEWAY[family]),
  'near-b': neighbour(['near-b'], (family) => GATEWAY[family]),
  far: neighbour(['far-c', 'far-d'], (family) => FAR_END[family]),
}

/** For the internet: whatever comes in is for this host; whatever goes out goes by the node. */
export const EVERY_ADDRESS: readonly string[] = [
  'route add local default dev lo table local',
  'rule add pref 10 iif lo lookup main',
  'rule add pref 20 lookup local',
  'rule del pref 0',
]

function neighbour(names: readonly Name[], gateway: (family: IpFamily) => string): readonly string[] {
  return [
    'link set eth0 up',
    ...FAMILIES.flatMap((family) => {
      const [first = '', ...others] = names.map((name) => addressOf(name, family))
      return [
        ...link('eth0', first, gateway(family)),
        ...others.map((other) => own(other, 'eth0')),
        `route add default via ${gateway(family)} src ${first}`,
      ]
    }),
  ]
}

/** A link between an address and its neighbour's, with a route for each end. */
function link(device: string, address: string, other: string): readonly string[] {
  return [own(address, device), `route add ${other} dev ${device}`]
}

function own(address: string, device: string): string {
  return address.includes(':') ? `addr add ${address}/128 dev ${device} nodad` : `addr add ${address}/32 dev ${device}`
}
