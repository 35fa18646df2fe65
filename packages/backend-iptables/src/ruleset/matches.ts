import type { IpFamily, Protocol } from '@pointsman/core'
import { networkOf, type AddrtypeMatch, type Match, type Rule, type Target } from 'node-iptables'

export const comment = (text: string): Match => ({ type: 'comment', comment: text })

export const jumpTo = (chain: string): Target => ({ type: 'jump', chain })
export const ACCEPT = jumpTo('ACCEPT')
export const DROP = jumpTo('DROP')
export const RETURN = jumpTo('RETURN')

/** Tells the sender at once: what a host without a listener would answer. */
export const rejectIn = (family: IpFamily): Target => ({
  type: 'REJECT',
  with: family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable',
})

/** `-p tcp`, and the match that comes with it. */
export const protocolOf = (protocol: Protocol): Required<Pick<Rule, 'protocol'>> => ({
  protocol: { name: protocol.toLowerCase(), negated: false },
})

export const toPort = (protocol: Protocol, port: number): Match => ({
  type: MATCH_OF[protocol],
  destination: { first: port, last: port, negated: false },
})

/** Only says the protocol again: DNAT to a port is for protocols that have ports. */
export const anyPort = (protocol: Protocol): Match => ({ type: MATCH_OF[protocol] })

const MATCH_OF = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const

/** `-s` for an address or a network; nothing where it holds the whole family. */
export const from = (network: string): Pick<Rule, 'source'> => {
  const spelt = spell(network)
  return spelt.any ? {} : { source: { network: spelt.network, negated: false } }
}
export const notFrom = (network: string): Pick<Rule, 'source'> => ({
  source: { network: spell(network).network, negated: true },
})
export const to = (network: string): Pick<Rule, 'destination'> => ({
  destination: { network: spell(network).network, negated: false },
})
export const notTo = (network: string): Pick<Rule, 'destination'> => ({
  destination: { network: spell(network).network, negated: true },
})

/** An address that is one of the node's own. */
export const toLocal: AddrtypeMatch = { type: 'addrtype', destination: { types: ['LOCAL'], negated: false } }
export const fromLocal: AddrtypeMatch = { type: 'addrtype', source: { types: ['LOCAL'], negated: false } }

export const isNew: Match = { type: 'conntrack', states: ['NEW'], negated: false }

function spell(network: string): { readonly network: string; readonly any: boolean } {
  // Most are IPv4 addresses, whose spelling in Kubernetes is iptables' own.
  if (!network.includes(':') && !network.includes('/')) return { network: `${network}/32`, any: false }
  const found = networkOf(network)
  // The core hands over addresses and networks that it has read: anything else is a bug, and must not become "any".
  if (found === undefined) throw new Error(`not an address or a network: ${JSON.stringify(network)}`)
  return found
}
