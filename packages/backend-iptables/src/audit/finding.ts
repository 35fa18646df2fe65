import type { ServicePortName } from '@pointsman/core'
import type { Table } from '../ruleset/ruleset.js'

/** One thing in which a node's tables are not what they should be. */
export interface AuditFinding {
  readonly type: FindingType
  readonly table: Table
  readonly chain: string
  /** Whose rule it is, or would be. Undefined: it is there whatever services there are, or it is nobody's. */
  readonly owner?: ServicePortName | undefined
  /** The rule that should be there, in iptables-save's spelling. */
  readonly expected?: string | undefined
  /** The rule that is there. */
  readonly found?: string | undefined
}

/** What an audit can find, and what it means. A name is a contract: added, not renamed. */
export const AUDIT_FINDINGS = {
  MISSING_TABLE: 'the whole table is missing in what was looked at',
  MISSING_CHAIN: 'the chain is not there',
  MISSING_RULE: 'the rule is not there',
  MISSING_JUMP: 'no rule of the kernel chain leads to ours: the rules behind it take no packets',
  CHANGED_RULE: 'the rule reads otherwise than it should',
  OUT_OF_ORDER: 'the rule stands in the wrong place: another one takes its packets first, or it takes those of others',
  DUPLICATE_RULE: 'the rule is there more than once',
  LEFT_OVER_CHAIN: 'a chain of a service port that is not there any more, or has no such endpoint',
  LEFT_OVER_RULE: 'a rule of a service port that is not there any more, or of a front that it has no longer',
  FOREIGN_RULE: 'a rule that no proxy writes, in a chain of the proxy',
} as const

export type FindingType = keyof typeof AUDIT_FINDINGS
