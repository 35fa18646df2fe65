/** A condition, or its contrary: `! -s 10.0.0.0/8`. */
export type Negatable<T> = T & { readonly negated: boolean }

/**
 * One rule as data: what it says, without its spelling. Two texts that iptables reads as the same rule give equal data,
 * as far as the matches and targets are known here; the others are kept word by word (`other`).
 */
export interface Rule {
  /** `-s`, a network in iptables' spelling: `10.0.0.0/8`, `fd00::1/128`. Undefined: any. */
  readonly source?: Negatable<{ readonly network: string }> | undefined
  /** `-d`, like source. */
  readonly destination?: Negatable<{ readonly network: string }> | undefined
  /** `-i`; a name that ends in `+` stands for all that begin so. */
  readonly inInterface?: Negatable<{ readonly name: string }> | undefined
  /** `-o` */
  readonly outInterface?: Negatable<{ readonly name: string }> | undefined
  /** `-p`: a name that iptables-save would print (`tcp`, `ipv6-icmp`), else the number. Undefined: any. */
  readonly protocol?: Negatable<{ readonly name: string }> | undefined
  /** `-f`: second and further fragments (IPv4 alone). */
  readonly fragment?: { readonly negated: boolean } | undefined
  /** In the order in which they are tried. */
  readonly matches: readonly Match[]
  /** What happens to a packet that matches. Undefined: it goes on to the next rule. */
  readonly target?: Target | undefined
}

export type Match =
  | { readonly type: 'comment'; readonly comment: string }
  | PortsMatch
  /** The packet's mark, of which the bits in mask count. */
  | Negatable<{ readonly type: 'mark'; readonly value: number; readonly mask: number }>
  /** States in iptables-save's order. */
  | Negatable<{ readonly type: 'conntrack'; readonly states: readonly ConntrackState[] }>
  /** The kernel's own number: the probability is `chances / 2^31`. */
  | Negatable<{ readonly type: 'statistic-random'; readonly chances: number }>
  /** One packet of so many: `packet` counts from 0, and is less than `every`. */
  | Negatable<{ readonly type: 'statistic-nth'; readonly every: number; readonly packet: number }>
  | RecentMatch
  | AddrtypeMatch
  /** Counts into this object. It matches, unless the object has a quota that is not used up. */
  | { readonly type: 'nfacct'; readonly name: string }
  | PhysdevMatch
  | OtherMatch

/** `tcp`, `udp`, `sctp`: ports from and to, both included. */
export interface PortsMatch {
  readonly type: 'tcp' | 'udp' | 'sctp'
  readonly source?: Negatable<PortRange> | undefined
  readonly destination?: Negatable<PortRange> | undefined
  /** `--tcp-flags MASK SET`: of the flags in mask, exactly those in set are set. */
  readonly flags?: Negatable<{ readonly mask: readonly TcpFlag[]; readonly set: readonly TcpFlag[] }> | undefined
}

/** Both included. One port: twice the same. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'PSH' | 'ACK' | 'URG'
export type ConntrackState = 'INVALID' | 'NEW' | 'RELATED' | 'ESTABLISHED' | 'UNTRACKED' | 'SNAT' | 'DNAT'

/** `-m recent`: whether an address is on a list, or putting it there. */
export type RecentMatch = Negatable<{
  readonly type: 'recent'
  readonly operation: 'set' | 'rcheck' | 'update' | 'remove'
  readonly seconds?: number | undefined
  readonly reap: boolean
  readonly hitcount?: number | undefined
  readonly rttl: boolean
  /** The list. Undefined, like the next two, where a rule did not say: iptables then takes `DEFAULT`. */
  readonly name?: string | undefined
  /** `255.255.255.255`: the part of the address that counts. */
  readonly mask?: string | undefined
  /** Which of the packet's addresses. */
  readonly side?: 'source' | 'destination' | undefined
}>

/** `-m addrtype`: `LOCAL` is an address of this node. */
export interface AddrtypeMatch {
  readonly type: 'addrtype'
  readonly source?: Negatable<{ readonly types: readonly string[] }> | undefined
  readonly destination?: Negatable<{ readonly types: readonly string[] }> | undefined
  /** The address has to be of the interface that the packet comes in by, or goes out by. */
  readonly limit?: 'in' | 'out' | undefined
}

/** `-m physdev`: the port of a bridge that a packet came in by, or goes out by. */
export interface PhysdevMatch {
  readonly type: 'physdev'
  readonly isIn?: { readonly negated: boolean } | undefined
  readonly in?: Negatable<{ readonly name: string }> | undefined
  readonly isOut?: { readonly negated: boolean } | undefined
  readonly out?: Negatable<{ readonly name: string }> | undefined
  readonly isBridged?: { readonly negated: boolean } | undefined
}

/** A match that is not known here, or an option of one that is. The words keep their spelling, quotes included. */
export interface OtherMatch {
  readonly type: 'other'
  readonly name: string
  readonly words: readonly string[]
}

export type Target =
  /** To a chain, or one of ACCEPT, DROP, RETURN, or a target without options. */
  | { readonly type: 'jump'; readonly chain: string }
  /** Like a jump, but a RETURN there goes on where this chain was called. */
  | { readonly type: 'goto'; readonly chain: string }
  /** `--set-xmark VALUE/MASK`: the mask's bits are cleared, then the value's are flipped. */
  | { readonly type: 'MARK'; readonly value: number; readonly mask: number }
  /** `--to-destination`, as written: `10.244.1.5:8080`, `[fd00::5]:80`. */
  | { readonly type: 'DNAT'; readonly to: string; readonly random: boolean; readonly persistent: boolean }
  /** `--to-source`, as written. */
  | {
      readonly type: 'SNAT'
      readonly to: string
      readonly random: boolean
      readonly randomFully: boolean
      readonly persistent: boolean
    }
  | {
      readonly type: 'MASQUERADE'
      readonly ports?: PortRange | undefined
      readonly random: boolean
      readonly randomFully: boolean
    }
  /** `icmp-port-unreachable`, `tcp-reset` and the like. Undefined: the family's default, port unreachable. */
  | { readonly type: 'REJECT'; readonly with?: string | undefined }
  /** A target that is not known here, with its options; the words keep their spelling. */
  | { readonly type: 'other'; readonly name: string; readonly words: readonly string[] }

/** How many packets a rule matched, or a built-in chain's policy decided, and their bytes. */
export interface Counters {
  /** Whole numbers; as text, because they outgrow 2^53. */
  readonly packets: string
  readonly bytes: string
}

/** The end of a `switch` over a union: that no case is left is checked by the compiler. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`)
}
