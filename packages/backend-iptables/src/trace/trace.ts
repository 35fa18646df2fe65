import type { Rule } from 'node-iptables'
import type { Odds } from './odds.js'

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
}

/** `endpoints`: its destination was rewritten. `no-service`: it goes on to the address that it was sent to. */
export type Fate = 'endpoints' | 'rejected' | 'dropped' | 'no-service'

export interface FateOdds {
  readonly fate: Fate
  readonly odds: Odds
}

export interface TracedEndpoint {
  readonly address: string
  readonly port: number
  readonly odds: Odds
  readonly source: SeenSource
}

/** Whose address the receiver sees. */
export interface SeenSource {
  readonly rewritten: 'no' | 'MASQUERADE' | 'SNAT'
  /** Absent where MASQUERADE takes the address of an interface that is not known. */
  readonly address?: string | undefined
}

export interface Way {
  readonly odds: Odds
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
  | { readonly fate: 'rejected'; readonly with: string; readonly by: Place }
  | { readonly fate: 'dropped'; readonly by: Place }

/** A rule by its number in its chain, from 1, as `iptables -L --line-numbers` has it; without one, the chain's policy. */
export interface Place {
  readonly table: string
  readonly chain: string
  readonly number?: number | undefined
}

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

export type Step =
  /** A table is asked at a hook. */
  | {
      readonly type: 'table'
      readonly hook: Hook
      readonly table: string
      readonly rules: number
      readonly policy: string
    }
  /** A table is not asked. */
  | { readonly type: 'unasked'; readonly hook: Hook; readonly table: string; readonly because: string }
  | ({ readonly type: 'passed' } & PassedRules)
  /** A chain that the packet has been through before as it is now: the same becomes of it. Only in long traces. */
  | ({ readonly type: 'again' } & InChain)
  | ({ readonly type: 'rule' } & MatchedRule)
  /** The end of a built-in chain. */
  | { readonly type: 'policy'; readonly table: string; readonly chain: string; readonly policy: string }
  | { readonly type: 'routing'; readonly to: 'node' | 'forward' | 'out'; readonly because: string }
  /** conntrack rewrites an address as it did for the connection's first packet. */
  | { readonly type: 'conntrack'; readonly effect: Effect }

interface InChain {
  readonly table: string
  readonly chain: string
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
  readonly rule: Rule
  readonly conditions: readonly Condition[]
}

export interface MatchedRule extends InChain {
  readonly number: number
  readonly rule: Rule
  readonly conditions: readonly Condition[]
  /** What chance it had to match. */
  readonly odds: Odds
  readonly effect: Effect
}

/** One condition of a rule: in iptables' words, whether it holds, and the fact that decides. */
export interface Condition {
  readonly text: string
  readonly holds: boolean
  readonly because: string
  /** Nobody knows: it was taken for granted. */
  readonly assumed: boolean
}

export type Effect =
  | { readonly type: 'jump' | 'goto'; readonly chain: string; readonly rules: number }
  | { readonly type: 'return' | 'accept' | 'drop' }
  | { readonly type: 'reject'; readonly with: string }
  | { readonly type: 'mark'; readonly from: number; readonly to: number }
  | { readonly type: 'dnat'; readonly address: string; readonly port: number }
  | { readonly type: 'snat'; readonly by: 'MASQUERADE' | 'SNAT'; readonly address?: string | undefined }
  | { readonly type: 'untracked' }
  /** It goes on to the next rule; `what` says what was done with it, as in `LOG`. */
  | { readonly type: 'continue'; readonly what: string }

export interface Assumption {
  readonly code: AssumptionCode
  /** A sentence for a person. */
  readonly message: string
}

export const ASSUMPTION_CODES = {
  UNKNOWN_MATCH: 'a match that is not known here is taken not to match',
  UNKNOWN_TARGET: 'a target that is not known here is taken to let the packet go on',
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
  LOOPBACK: 'the kernel is taken to let packets from elsewhere get to loopback (route_localnet)',
} as const
export type AssumptionCode = keyof typeof ASSUMPTION_CODES
