import { parseAddress, type IpFamily } from '@pointsman/core'

/**
 * Who sends and what is sent to, by name, in each family. `near` pods are on the node under test, `far` pods on another
 * one; the rest of the world is a client, a stranger, and `internet`: all that no route of the cluster leads to.
 */
const ADDRESSES = {
  client: ['192.0.2.2', '2001:db8:c::2'],
  stranger: ['203.0.113.66', '2001:db8:bad::66'],
  node: ['192.0.2.1', '2001:db8:c::1'],
  'node-2': ['198.51.100.1', '2001:db8:1e::1'],
  localhost: ['127.0.0.1', '::1'],
  internet: ['198.51.100.2', '2001:db8:1e::2'],
  'near-a': ['10.244.1.5', 'fd00:10:244:1::5'],
  'near-b': ['10.244.1.6', 'fd00:10:244:1::6'],
  'far-c': ['10.244.2.7', 'fd00:10:244:2::7'],
  'far-d': ['10.244.2.8', 'fd00:10:244:2::8'],
  web: ['10.96.0.10', 'fd00:10:96::10'],
  other: ['10.96.0.11', 'fd00:10:96::11'],
  nobody: ['10.96.0.99', 'fd00:10:96::99'],
  external: ['203.0.113.10', '2001:db8:ee::10'],
  vip: ['203.0.113.20', '2001:db8:ee::20'],
  'proxied-vip': ['203.0.113.30', '2001:db8:ee::30'],
} as const satisfies { readonly [name: string]: readonly [ipv4: string, ipv6: string] }

export type Name = keyof typeof ADDRESSES

export const FAMILIES: readonly IpFamily[] = ['IPv4', 'IPv6']

export const CLUSTER_CIDRS: readonly string[] = ['10.244.0.0/16', 'fd00:10:244::/48']

/** Addresses that the node has besides those of its Node object: a gateway for its pods, and its end of the way to far ones. */
export const GATEWAY = { IPv4: '10.244.1.1', IPv6: 'fd00:10:244:1::1' } as const
export const FAR_END = { IPv4: '172.20.0.1', IPv6: 'fd00:20::1' } as const

/** More clients, which all behave alike. */
export const crowdOf = (family: IpFamily): readonly string[] =>
  Array.from({ length: 24 }, (_, index) => `${family === 'IPv4' ? '192.0.2.' : '2001:db8:c::'}${100 + index}`)

export const addressOf = (name: Name, family: IpFamily): string => ADDRESSES[name][family === 'IPv4' ? 0 : 1]

export function nameAt(address: string): Name | undefined {
  const text = parseAddress(address)?.text
  return (Object.keys(ADDRESSES) as Name[]).find((name) => FAMILIES.some((family) => addressOf(name, family) === text))
}

export const isName = (text: string): text is Name => text in ADDRESSES

/** Every address of the node but loopback. */
export const nodeAddresses = (family: IpFamily): readonly string[] => [
  addressOf('node', family),
  addressOf('node-2', family),
  GATEWAY[family],
  FAR_END[family],
]
