import type { Odds } from '../model/odds.js'
import type { Place } from './dataplane.js'

/** What becomes of a packet. */
export interface Trace {
  /** The likeliest: nearly always the only one. */
  readonly fate: Fate
  /** Every fate that it can have, the likeliest first; the odds add up to 1. */
  readonly fates: readonly FateOdds[]
  /** Where it may get to, sorted by address and port, with the odds of getting there. */
  readonly endpoints: readonly TracedEndpoint[]
  /** Each way that it can take, in the order of the rules that part them; the odds add up to 1. */
  readonly ways: readonly Way[]
  /** What the rules asked and nobody knew, with what was taken for granted. */
  readonly assumptions: readonly Assumption[]
  /**
   * What becomes of it in each case of unknown facts, where that changes the verdict: the cases exclude each other, and one
   * of them holds. Absent: nothing that is unknown changes the verdict.
   */
  readonly cases?: readonly TraceCase[] | undefined
  /** What the cases are parted by, each once. Absent: nothing. */
  readonly dependsOn?: readonly Pick<Supposition, 'code' | 'text'>[] | undefined
}

/** One case of unknown facts. Cases in a row begin with what they have in common, as the leaves of a tree do. */
export interface TraceCase {
  /** All of these hold in it. Empty: there are too many cases to part them, and this one stands for all. */
  readonly when: readonly Supposition[]
  /** The odds of each list add up to 1. */
  readonly fates: readonly FateOdds[]
  readonly endpoints: readonly TracedEndpoint[]
  /** Where the ways of this case end, the likeliest of each fate first. */
  readonly ends: readonly EndOdds[]
}

export interface EndOdds {
  readonly end: End
  readonly odds: Odds
}

/** An unknown fact, and whether it is so in a case, or on a way. */
export interface Supposition {
  readonly code: DependenceCode
  /** A clause for a person, before it is denied: `it arrives by eth0`. */
  readonly text: string
  readonly holds: boolean
}

/** What a verdict can depend on. */
export const DEPENDENCE_CODES = {
  MATCH: 'whether a match holds that reads more of the packet or of the machine than is known here',
  SET_MEMBER: 'what an ipset contains',
  IN_INTERFACE: 'by which interface the packet arrives',
  OUT_INTERFACE: 'by which interface the packet leaves',
  BRIDGE_PORT: 'by which port of a bridge the packet comes or goes',
  SOURCE_PORT: 'the source port',
  SOURCE_ADDRESS: 'which address MASQUERADE or SNAT gives the packet',
  MAC_ADDRESS: 'the MAC address of the sender',
  OWNER: 'which user or group sends the packet',
  RECENT: 'how often and when a list of `-m recent` has seen the address',
  CONNECTION: 'what conntrack knows of the connection',
  MARK: 'a mark that the rules or the connection give the packet',
  CHOICE: 'which address or port of a range DNAT chooses',
  TARGET: 'what a target that is not known here does with the packet',
  PROGRAM: 'what a program decides that the packet is handed to',
  NODE_ADDRESS: 'whether an address is one of the node',
  CHAIN_ORDER: 'which of two base chains at one hook with equal priorities comes first',
} as const
export type DependenceCode = keyof typeof DEPENDENCE_CODES

/**
 * `endpoints`: its destination was rewritten. `no-service`: it goes on to the address that it was sent to. `depends`: something
 * decides that is not in the rules, or that is unknown.
 */
export type Fate = 'endpoints' | 'rejected' | 'dropped' | 'no-service' | 'depends'

export interface FateOdds {
  readonly fate: Fate
  /** Where there are cases: the highest of them. */
  readonly odds: Odds
  /** The lowest of the cases. Absent: the odds are the same in all. */
  readonly atLeast?: Odds | undefined
}

export interface TracedEndpoint {
  readonly address: string
  /** 0: the protocol has no ports. */
  readonly port: number
  /** Where there are cases: the highest of them. */
  readonly odds: Odds
  /** The lowest of the cases. Absent: the odds are the same in all. */
  readonly atLeast?: Odds | undefined
  readonly source: SeenSource
}

/** Whose address the receiver sees. */
export interface SeenSource {
  readonly rewritten: 'no' | 'MASQUERADE' | 'SNAT'
  /** Absent where MASQUERADE takes the address of an interface that is not known, and SNAT one of a range. */
  readonly address?: string | undefined
}

export interface Way {
  /** In the cases that it belongs to. */
  readonly odds: Odds
  /** The cases of unknown facts in which it is taken: any of these, of which all must hold. Empty: they are too many to list. Absent: all cases. */
  readonly when?: readonly (readonly Supposition[])[] | undefined
  readonly end: End
  readonly steps: readonly Step[]
}

export type End =
  | {
      readonly fate: 'endpoints' | 'no-service'
      readonly address: string
      readonly port: number
      readonly source: SeenSource
    }
  | { readonly fate: 'rejected'; readonly with: string; readonly by: RulePlace }
  | { readonly fate: 'dropped'; readonly by: RulePlace }
  /** `on` decides about it: `IPVS`, `the program that reads queue 1`. */
  | {
      readonly fate: 'depends'
      readonly on: string
      readonly address: string
      readonly port: number
      readonly source: SeenSource
      readonly by?: RulePlace | undefined
    }

/** A rule by its number in its chain, from 1, as `iptables -L --line-numbers` has it; without one, the chain's policy. */
export interface RulePlace extends Place {
  readonly number?: number | undefined
}

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

export type Step =
  /** A table is asked at a hook: one of its base chains, where their names are not the hooks'. */
  | {
      readonly type: 'table'
      readonly hook: Hook
      readonly table: string
      readonly chain?: string | undefined
      readonly rules: number
      readonly policy: string
    }
  /** A table is not asked. */
  | {
      readonly type: 'unasked'
      readonly hook: Hook
      readonly table: string
      readonly chain?: string | undefined
      readonly because: string
      /** The rule that is the reason, and one that would match, for a person. */
      readonly rules?: string | undefined
    }
  | ({ readonly type: 'passed' } & PassedRules)
  /** A chain that the packet has been through before as it is now: the same becomes of it. Only in long traces. */
  | ({ readonly type: 'again' } & InChain)
  /** The packet continues the same whether it went here or not: the steps of the other ways are left out. */
  | ({ readonly type: 'joined' } & InChain)
  | ({ readonly type: 'rule' } & MatchedRule)
  /** The end of a built-in chain. */
  | { readonly type: 'policy'; readonly table: string; readonly chain: string; readonly policy: string }
  | { readonly type: 'routing'; readonly to: 'node' | 'forward' | 'out'; readonly because: string }
  /** conntrack rewrites an address as it did for the connection's first packet. */
  | { readonly type: 'conntrack'; readonly effect: Effect }

interface InChain extends Place {
  /** 0 in a built-in chain, 1 in one that it jumps to. */
  readonly depth: number
}

/** Rules that did not match, one after the other. */
export interface PassedRules extends InChain {
  /** Numbers of the first and the last. */
  readonly first: number
  readonly last: number
  /** Those that nearly matched, or all where that was asked for. */
  readonly missed: readonly MissedRule[]
  /** The odds that chance made it pass them. */
  readonly odds: Odds
}

export interface MissedRule {
  readonly number: number
  readonly rule: TracedRule
  readonly conditions: readonly Condition[]
}

export interface MatchedRule extends InChain {
  readonly number: number
  readonly rule: TracedRule
  readonly conditions: readonly Condition[]
  /** What chance it had to match. */
  readonly odds: Odds
  readonly effect: Effect
}

/** A rule in the words of its rule system. */
export interface TracedRule {
  /** The whole rule as a listing has it: `-A KUBE-SERVICES -d 10.96.0.10/32 ...`. */
  readonly line: string
  /** What it asks of a packet, short: `-d 10.96.0.10/32 -p tcp --dport 80`; `any packet` where it asks nothing. */
  readonly match: string
  /** Empty: it has none. */
  readonly comment: string
  /** Whose it is. Absent: nobody's, or nothing says. */
  readonly service?: RuleService | undefined
  /** Rules of one kind ask for the same fields, if for other values of them. */
  readonly kind: string
}

/** The service port that a rule is for. */
export interface RuleService {
  /** `namespace/name:port`, without `:port` where the port has no name. */
  readonly name: string
  /** `plan`: it was planned for it. `comment`: its comment names it, which anybody can write. */
  readonly by: 'plan' | 'comment'
}

/** One condition of a rule: in its rule system's words, whether it holds, and the fact that decides. */
export interface Condition {
  readonly field: ConditionField
  /** The one address or protocol, or the port or range of ports, that it asks for. Absent: it asks for others than that, or for more. */
  readonly value?: string | undefined
  readonly text: string
  readonly holds: boolean
  readonly because: string
  /** Unknown: it was assumed. */
  readonly assumed: boolean
  /** Unknown, and the ways part here: it holds, or not, on this way alone. */
  readonly supposed?: boolean | undefined
  /** Unknown, and it does not matter: the packet goes on as it is either way. */
  readonly open?: boolean | undefined
}

/** What of a packet a condition is about. The value of a port is `tcp 80` or `tcp 80:90`. */
export type ConditionField = 'source' | 'destination' | 'protocol' | 'port' | 'interface' | 'other'

export type Effect =
  | { readonly type: 'jump' | 'goto'; readonly chain: string; readonly rules: number }
  | { readonly type: 'return' | 'accept' | 'drop' }
  | { readonly type: 'reject'; readonly with: string }
  | { readonly type: 'mark'; readonly from: number; readonly to: number }
  | { readonly type: 'dnat'; readonly address: string; readonly port: number }
  | { readonly type: 'snat'; readonly by: 'MASQUERADE' | 'SNAT'; readonly address?: string | undefined }
  | { readonly type: 'untracked' }
  /** Something else than the rules decides; `outcome` says how it did on this way. */
  | {
      readonly type: 'hand-over'
      readonly what: string
      readonly outcome: 'accept' | 'drop' | 'continue' | 'end'
    }
  /** It goes on to the next rule; `what` says what was done with it, as in `LOG`. */
  | { readonly type: 'continue'; readonly what: string }

export interface Assumption {
  readonly code: AssumptionCode
  /** A sentence for a person. */
  readonly message: string
}

export const ASSUMPTION_CODES = {
  RULES_INFERRED: 'the text of the rules is not the whole output of their tool: what it lacks is inferred',
  UNKNOWN_MATCH: 'no longer given: the verdict depends on a match that is not known here (`MATCH`)',
  UNKNOWN_TARGET: 'no longer given: the verdict depends on a target that is not known here (`TARGET`)',
  NEW_CLIENT: 'the sender is taken to be on no list of `-m recent`, so that session affinity leads it nowhere',
  IN_INTERFACE: 'by which interface the packet arrives is not known: it is taken to be none that a rule names',
  OUT_INTERFACE: 'by which interface the packet leaves is not known: it is taken to be none that a rule names',
  BRIDGE_PORT: 'by which port of a bridge the packet comes or goes is not known: it is taken to come by no bridge',
  SOURCE_PORT: 'the source port is not known: it is taken to be none that a rule names',
  PACKET_COUNT: 'the counter of `-m statistic --mode nth` is not known: one packet in so many is taken to match',
  ADDRESS_RANGE: 'of a range of addresses, the first is taken',
  NODE_ADDRESS: 'the address that the node gives the packet is not known',
  TABLE_MISSING: 'a table is not among the rules: it is taken to have none',
  CONNECTION: 'how conntrack rewrites the connection is not known: it is taken to leave its addresses alone',
  JUMP_DEPTH: 'chains lead into each other deeper than nf_tables takes: the rules are taken to be of iptables-legacy',
  CHAIN_NOT_FOLLOWED:
    'a chain of a bridge or a device sees the packet, and is not followed: it is taken to let it go on',
  LOOPBACK: 'the kernel is taken to let packets from elsewhere get to loopback (route_localnet)',
  RATE_LIMIT: 'the packet is taken to be the first that a limit counts, and so within it',
  BROADCAST: 'an address that no interface is known for is taken to be no broadcast address',
  POLICY_ROUTING: 'a packet that TPROXY gives to a socket is taken to be routed to the node, as `ip rule` has to say',
  OTHER_PROXY:
    'rules of a program that can serve Services without rules are there, and none of kube-proxy: it is taken not to',
  SAME_TABLE: 'a table of iptables in what nft lists is taken to be the one that iptables-save printed',
  CHAIN_ORDER:
    'of two base chains with equal priorities it is not known which comes first; the same rules match either way',
} as const
export type AssumptionCode = keyof typeof ASSUMPTION_CODES
