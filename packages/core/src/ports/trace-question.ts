import type { AddressedPacket } from '../model/packet.js'

/** What a trace is asked, besides the rules. */
export interface TraceQuestion {
  readonly packet: TracedPacket
  readonly surroundings: Surroundings
  /** Tell of every rule that did not match. Default: of those that nearly did, and of all in small chains. */
  readonly everyRule?: boolean | undefined
}

/** A packet, where it meets the rules of a node. */
export interface TracedPacket extends Omit<AddressedPacket, 'protocol' | 'family'> {
  /** As iptables names it: `tcp`, `udp`, `sctp`, and `icmp` in both families, which stands for an echo request. */
  readonly protocol: string
  /** By which interface it arrives. Absent: not known. */
  readonly inInterface?: string | undefined
  /** By which it leaves the node, if it does. Absent: not known. */
  readonly outInterface?: string | undefined
  /** The packet's mark when it meets the first rule. Absent: 0. */
  readonly mark?: number | undefined
  /** What conntrack says of it. Absent: NEW, the first packet of its connection. */
  readonly state?: 'NEW' | 'ESTABLISHED' | 'INVALID' | undefined
  /** What conntrack makes of an ESTABLISHED one, as the first packet's rules decided. Absent: not known. */
  readonly connection?: Connection | undefined
  /** The MAC address in the frame that brings it. Absent: not known. */
  readonly mac?: string | undefined
  /** The user and the group that the process runs as which sends it, where the node does. Absent: not known. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** By which port of a bridge it comes and goes. Empty: by none. Absent: not known. */
  readonly bridgeIn?: string | undefined
  readonly bridgeOut?: string | undefined
}

/** The addresses that conntrack has for a connection in place of the packet's own. */
export interface Connection {
  readonly destination: { readonly address: string; readonly port: number }
  /** Absent: the source is not rewritten. */
  readonly source?: string | undefined
}

/** What the node is to its rules. */
export interface Surroundings {
  /** The addresses of its interfaces; loopback is added. */
  readonly nodeAddresses: readonly string[]
  /** Addresses of which it is unknown whether the node has them, as those of load balancers. Absent: none. */
  readonly maybeNodeAddresses?: readonly string[] | undefined
  /** Who is on the lists of `-m recent`, as far as it is known. Absent: not known. */
  readonly affinity?: readonly AffinityEntry[] | undefined
  /** The addresses of single interfaces, the first of each first. They count as the node's. Absent: not known. */
  readonly interfaces?: readonly InterfaceAddresses[] | undefined
  /** What `ipset save` or `ipset list` printed. Absent: not known. */
  readonly ipsets?: string | undefined
}

export interface InterfaceAddresses {
  readonly name: string
  readonly addresses: readonly string[]
}

/** A line of /proc/net/xt_recent/LIST. */
export interface AffinityEntry {
  readonly list: string
  readonly address: string
  /** Absent: just now. */
  readonly secondsAgo?: number | undefined
  /** How many packets are on record. Absent: 1. */
  readonly hits?: number | undefined
}

/** Where rules remember the clients of one endpoint: a list of `-m recent`. */
export interface AffinityList {
  readonly list: string
  /** The endpoint that those on it are sent to: `10.244.1.5:8080`. Undefined: to none. */
  readonly leadsTo: string | undefined
}

/**
 * Rules of one listing in the form in which a packet can be followed through those of several at once. Only core's `trace/` makes
 * and reads more of them than this.
 */
export interface TraceableRules {
  /** As a trace names them: `nat`, `ip kube-proxy`. */
  readonly tables: readonly string[]
}

/** What can be wrong with a question about a packet, or with the rules that it is asked about. */
export const TRACE_ERRORS = {
  NOT_AN_ADDRESS: 'the source or the destination is not an IP address',
  NOT_A_PORT: 'a port is not a whole number from 1 to 65535',
  FAMILY_MISMATCH: 'the source and the destination are of different IP families',
  OTHER_FAMILY: 'the rules are of the other IP family than the packet',
  TABLE_TWICE: 'the rules have a table twice: they are more than one save',
  RULE_LOOP: 'the rules lead back to a chain that the packet is in, which no kernel takes',
  TOO_DEEP: 'chains lead into each other more than 256 deep; nf_tables takes 16',
  TOO_MANY_WAYS: 'there are too many ways to tell one by one, or too many rules on them to try',
  PART_OF_RULES: 'the packet comes to a chain of a Service whose rules are not in the part of a save that was given',
  BAD_SETS: 'the input of --ipset is not output of `ipset save` or `ipset list`',
} as const
export type TraceErrorCode = keyof typeof TRACE_ERRORS

/** The message is one line for the person who asked; programs look at `code`. */
export class TraceError extends Error {
  override readonly name = 'TraceError'
  readonly code: TraceErrorCode

  constructor(code: TraceErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
