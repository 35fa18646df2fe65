/** Why a line is refused, in the way of the program or of the kernel that refuses it. */
export type Refusal =
  /** iptables itself, for what the line says: exit status 2. */
  | { readonly type: 'usage'; readonly says: string }
  /** iptables itself, for what the table has: exit status 1. */
  | { readonly type: 'state'; readonly says: StateRefusal }
  | KernelRefusal

export type StateRefusal =
  | 'No chain/target/match by that name.'
  | 'Chain already exists.'
  | 'Bad rule (does a matching rule exist in that chain?).'
  | 'Index of insertion too big.'
  | 'Index of deletion too big.'
  | 'Bad built-in chain name.'
  | 'Bad policy name.'
  | 'Directory not empty.'
  | 'Too many links.'
  | 'Invalid argument.'

/** The kernel, when the table is committed: nft says of which step, legacy nothing. */
export interface KernelRefusal {
  readonly type: 'kernel'
  readonly step: KernelStep
  readonly reason: KernelReason
  /** `rule in chain A`, `chain A` */
  readonly object: string
}

export type KernelStep = 'RULE_APPEND' | 'RULE_INSERT' | 'CHAIN_DEL'

export type KernelReason =
  | 'Invalid argument'
  | 'No such file or directory'
  | 'Operation not supported'
  | 'Too many links'
  | 'Device or resource busy'
  | 'Cannot allocate memory'

export const usage = (says: string): Refusal => ({ type: 'usage', says })
export const state = (says: StateRefusal): Refusal => ({ type: 'state', says })
