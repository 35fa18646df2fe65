import type { IpFamily, ServicePortName } from '@pointsman/core'
import type { Rule } from 'node-iptables'

/** The tables that are used, in the order in which a save is compared with kube-proxy's. */
export const TABLES = ['mangle', 'filter', 'nat'] as const
export type Table = (typeof TABLES)[number]

/** A chain and rules of it, in order. */
export interface ChainRules {
  readonly table: Table
  readonly chain: string
  readonly rules: readonly Rule[]
}

/** Every rule that one service port has, in one family. What another service port is does not change it. */
export interface ServiceRules {
  readonly owner: ServicePortName
  /** Chains that no other service port has a rule in: KUBE-SVC-, KUBE-SEP- and others. */
  readonly chains: readonly ChainRules[]
  /** Its rules in the chains that all service ports share, one entry a chain. */
  readonly entries: readonly ChainRules[]
}

/** A chain that is there whatever services there are. */
export interface BaseChain {
  readonly table: Table
  readonly chain: string
  /**
   * `dispatch`: service ports have rules in it. `fixed`: none has. `canary`: empty, there to be missed when the table is
   * flushed. `kubelet`: kubelet makes it as well, and may have rules in it: it is never deleted, and emptied only where
   * there are rules to put into it.
   */
  readonly role: 'dispatch' | 'fixed' | 'canary' | 'kubelet'
  /** Before the rules of service ports. */
  readonly first: readonly Rule[]
  /** After them: the end of the chain. */
  readonly last: readonly Rule[]
  /** Of a chain of kubelet's: rules that the proxy puts there in other layouts, and which are to go. */
  readonly retired?: readonly Rule[]
}

/** A rule of a built-in chain that leads to one of ours. Other rules may stand before, between and after. */
export interface JumpRule {
  readonly table: Table
  readonly chain: string
  readonly rule: Rule
}

/** What is the same whatever services there are. */
export interface BaseRules {
  readonly chains: readonly BaseChain[]
  /** Those of one built-in chain in the order in which they come to stand. */
  readonly jumps: readonly JumpRule[]
}

/** All rules of one family. */
export interface Ruleset {
  readonly family: IpFamily
  readonly base: BaseRules
  /** In the order in which their entries stand in the shared chains. */
  readonly services: readonly ServiceRules[]
}
