import type { ServicePortName } from '@pointsman/core'

/** One thing in which a node's tables are not what they should be. */
export interface AuditFinding {
  readonly type: FindingType
  /** Empty: all of them. */
  readonly table: string
  /** Empty: all of the table's. */
  readonly chain: string
  /** Whose rule it is, or would be. Undefined: it is there whatever services there are, or it is nobody's. */
  readonly owner?: ServicePortName | undefined
  /** `namespace/name:port`: whose it says to be in its comment, where it should not be there. */
  readonly claims?: string | undefined
  /** The rules that should be there, in order, in iptables-save's spelling: `-A CHAIN ...`. */
  readonly expected?: readonly string[] | undefined
  /** The rules that are there. */
  readonly found?: readonly string[] | undefined
}

/** What an audit can find, and what it means. A name is a contract: added, not renamed. */
export const AUDIT_FINDINGS = {
  MISSING_TABLE: 'the whole table is missing in what was looked at',
  NO_CHAINS: "none of the proxy's chains is in the table",
  MISSING_CHAIN: 'the chain is not there',
  MISSING_RULE: 'the rule is not there',
  MISSING_JUMP: 'no rule of the kernel chain leads to ours: the rules behind it take no packets',
  EXTRA_JUMP: 'a rule of the kernel chain leads to ours as only an older proxy has it',
  CHANGED_RULE: 'the rule reads otherwise than it should',
  OUT_OF_ORDER: 'the rule stands in the wrong place: another one takes its packets first, or it takes those of others',
  DUPLICATE_RULE: 'the rule is there more than once',
  LEFT_OVER_CHAIN: 'a chain of a service port that is not there any more, or has no such endpoint',
  LEFT_OVER_RULE: 'a rule of a service port that is not there any more, or of a front that it has no longer',
  FOREIGN_RULE: 'a rule that no proxy writes, in a chain of the proxy',
  MARK_BIT: "a rule of somebody else uses the bit of the packet mark by which the proxy's rules ask for masquerading",
  OTHER_VARIANT: 'the other variant of iptables has chains of the proxy as well: packets meet both',
} as const

export type FindingType = keyof typeof AUDIT_FINDINGS
