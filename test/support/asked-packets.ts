import {
  frontsOf,
  type IpFamily,
  isEqual,
  type NodeInfo,
  parseAddress,
  type Protocol,
  type State,
} from '@pointsman/core'
import type { SavedTable } from 'node-iptables'
import { walk } from './walk-rules.js'

/** A packet as `route` of backend-mock is asked about it; `via` is the interface by which it arrives, empty for the node's own. */
export interface AskedPacket {
  readonly from: string
  readonly via: string
  readonly to: string
  readonly port: number
  readonly protocol: Protocol
}

/** Packets to each front and to its neighbours, from each kind of sender. */
export function packetsTo(state: State, family: IpFamily): readonly AskedPacket[] {
  const ownAddresses = [...(state.node?.addresses ?? []), LOOPBACK[family]].filter((text) => familyOf(text) === family)
  const asked = new Map<string, Pick<AskedPacket, 'to' | 'port' | 'protocol'>>()
  for (const servicePort of state.services.values()) {
    if (servicePort.family !== family) continue
    for (const { address, port, protocol } of frontsOf(servicePort)) {
      for (const to of address === undefined ? ownAddresses : [address]) {
        asked.set(`${protocol} ${to} ${port}`, { protocol, to, port })
        asked.set(`${protocol} ${to} 8`, { protocol, to, port: 8 })
      }
    }
    const { healthCheckNodePort: port } = servicePort
    if (port !== 0) for (const to of ownAddresses) asked.set(`TCP ${to} ${port}`, { protocol: 'TCP', to, port })
  }
  return [...asked.values()].flatMap((to) =>
    SENDERS[family]
      .filter(({ from }) => from === 'node' || to.to !== LOOPBACK[family])
      .map((sender) => ({ ...sender, ...to })),
  )
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const
const OUTSIDE = { IPv4: '198.18.0.1', IPv6: '2001:db8:ffff::1' } as const

/** The node, the world, pods of this node and of others (endpoints among them), a peer in a source range, a VIP. */
const SENDERS: { readonly [family in IpFamily]: readonly Pick<AskedPacket, 'from' | 'via'>[] } = {
  IPv4: [
    { from: 'node', via: '' },
    { from: 'outside', via: 'eth0' },
    { from: '10.244.1.2', via: 'cali7' },
    { from: '10.244.1.1', via: 'cbr0' },
    { from: '10.244.2.10', via: 'eth0' },
    { from: '192.0.2.9', via: 'eth0' },
    { from: '203.0.113.1', via: 'eth0' },
  ],
  IPv6: [
    { from: 'node', via: '' },
    { from: 'outside', via: 'eth0' },
    { from: 'fd00:10:244:1::2', via: 'cali7' },
    { from: 'fd00:10:244:1::1', via: 'cbr0' },
    { from: 'fd00:10:244:2::a', via: 'eth0' },
    { from: '2001:db8::1', via: 'eth0' },
  ],
}

/** What rules do to a packet, in texts: `10.244.1.5 8080 0.500 masqueraded`, `dropped`. `state` says what the node is. */
export function walked(
  { from, via, to, port, protocol }: AskedPacket,
  tables: readonly SavedTable[],
  { node }: Pick<State, 'node'>,
): readonly string[] {
  const family = familyOf(to) ?? 'IPv4'
  const isOwnAddress = (address: string): boolean => address === LOOPBACK[family] || isOfNode(node, address)
  const own = from === 'node' || isOwnAddress(from)
  const outcomes = walk(
    {
      protocol: protocol.toLowerCase(),
      source: from === 'node' ? sourceOfNode(to, node) : from === 'outside' ? OUTSIDE[family] : from,
      destination: to,
      port,
      interface: own ? undefined : via,
      own,
    },
    { tables, isOwnAddress },
  )
  const shares = new Map<string, { odds: number; readonly tell: (odds: number) => string }>()
  for (const { odds, fate, masqueraded } of outcomes) {
    const tell = (total: number): string => {
      if (typeof fate === 'object') return told({ ...fate, address: canonical(fate.address), odds: total, masqueraded })
      return fate === 'untouched' ? 'no-service' : fate
    }
    const share = shares.get(tell(0)) ?? { odds: 0, tell }
    share.odds += odds
    shares.set(tell(0), share)
  }
  return [...shares.values()].map(({ odds, tell }) => tell(odds)).toSorted()
}

/** The odds with three decimals: the kernel rounds. */
export const told = (end: {
  readonly address: string
  readonly port: number
  readonly odds: number
  readonly masqueraded: boolean
}): string => `${end.address} ${end.port} ${end.odds.toFixed(3)}${end.masqueraded ? ' masqueraded' : ''}`

/** The source address that a node would choose. */
function sourceOfNode(to: string, node: NodeInfo | undefined): string {
  const family = familyOf(to) ?? 'IPv4'
  if (to === LOOPBACK[family] || isOfNode(node, to)) return to
  return node?.addresses.find((address) => familyOf(address) === family) ?? OUTSIDE[family]
}

const isOfNode = (node: NodeInfo | undefined, address: string): boolean =>
  node?.addresses.some((own) => isEqual(own, address)) ?? false
/** Two spellings of one address are one. */
const canonical = (text: string): string => parseAddress(text)?.text ?? text
const familyOf = (text: string): IpFamily | undefined => parseAddress(text)?.family

/**
 * What may become of a packet between two restores: what did before, or will after; where nobody takes it before, or nobody
 * will after, it may be turned away in another way.
 */
export function allowedBetween(
  before: readonly string[] = [],
  after: readonly string[] = [],
): readonly (readonly string[])[] {
  const isTakenAlways = ![...before, ...after].some((fate) => NOBODY.includes(fate))
  return [before, after, ...(isTakenAlways ? [] : [['dropped'], ['rejected']])]
}

const NOBODY = ['dropped', 'rejected', 'no-service']

/**
 * The service ports that a packet may be for. Where there are several, one may be on its way into a table and another one
 * out of it.
 */
export function ownersOf({ to, port, protocol }: AskedPacket, states: readonly State[]): ReadonlySet<string> {
  const owners = new Set<string>()
  for (const { services } of states) {
    for (const servicePort of services.values()) {
      const ports = frontsOf(servicePort).filter((front) => (front.address ?? to) === to && front.protocol === protocol)
      if (ports.some((front) => front.port === port) || servicePort.healthCheckNodePort === port)
        owners.add(servicePort.id)
    }
  }
  return owners
}
