import type { AuditFinding, FindingKind } from '@pointsman/core'
import type { OwnedRule } from '../render/owned-rules.js'

/** A finding in the tables of one family, of which the tables do not know the name. */
export interface TableFinding extends Omit<AuditFinding, 'family' | 'variant'> {
  readonly type: FindingType
  readonly expected?: readonly OwnedRule[] | undefined
  readonly found?: readonly OwnedRule[] | undefined
}

/** What an audit can find, and what it means. A name is a contract: added, not renamed. */
export const AUDIT_FINDINGS = {
  MISSING_TABLE: {
    meaning: 'the whole table is missing in what was looked at',
    nouns: ['missing table', 'missing tables'],
    cause: 'made',
  },
  NO_CHAINS: {
    meaning: "none of the proxy's chains is in the table",
    nouns: ['table without any chain of the proxy', 'tables without any chain of the proxy'],
    cause: 'made',
  },
  MISSING_CHAIN: { meaning: 'the chain is not there', nouns: ['missing chain', 'missing chains'], cause: 'made' },
  MISSING_RULE: { meaning: 'the rule is not there', nouns: ['missing rule', 'missing rules'], cause: 'made' },
  MISSING_JUMP: {
    meaning: 'no rule of the kernel chain leads to ours: the rules behind it take no packets',
    nouns: ['missing jump', 'missing jumps'],
    cause: 'made',
  },
  EXTRA_JUMP: {
    meaning: 'a rule of the kernel chain leads to ours as only an older proxy has it',
    nouns: ['extra jump', 'extra jumps'],
    cause: 'made',
  },
  CHANGED_RULE: {
    meaning: 'the rule reads otherwise than it should',
    nouns: ['changed rule', 'changed rules'],
    cause: 'changed',
  },
  OUT_OF_ORDER: {
    meaning: 'the rule stands in the wrong place: another one takes its packets first, or it takes those of others',
    nouns: ['rule out of order', 'rules out of order'],
    cause: 'made',
  },
  DUPLICATE_RULE: {
    meaning: 'the rule is there more than once',
    nouns: ['duplicate rule', 'duplicate rules'],
    cause: 'made',
  },
  LEFT_OVER_CHAIN: {
    meaning: 'a chain of a service port that is not there any more, or has no such endpoint',
    nouns: ['chain left over', 'chains left over'],
    cause: 'emptied',
  },
  LEFT_OVER_RULE: {
    meaning: 'a rule of a service port that is not there any more, or of a front that it has no longer',
    nouns: ['rule left over', 'rules left over'],
    cause: 'removed',
  },
  FOREIGN_RULE: {
    meaning: 'a rule that no proxy writes, in a chain of the proxy',
    nouns: ['rule of somebody else', 'rules of somebody else'],
    cause: 'made',
  },
  MARK_BIT: {
    meaning: "a rule of somebody else uses the bit of the packet mark by which the proxy's rules ask for masquerading",
    nouns: ['use of our mark bit by somebody else', 'uses of our mark bit by somebody else'],
    cause: 'made',
  },
  OTHER_VARIANT: {
    meaning: 'the other variant of iptables has chains of the proxy as well: packets meet both',
    nouns: ['set of rules in the other variant', 'sets of rules in the other variant'],
    cause: 'made',
  },
} as const satisfies Readonly<Record<string, FindingKind>>

export type FindingType = keyof typeof AUDIT_FINDINGS

/** One line for a person: what to do about a finding. */
export function toDo({ type, variant, table, chain, expected = [] }: AuditFinding): string {
  if (type === 'OTHER_VARIANT')
    return `once nothing writes there any more, \`pointsman cleanup --iptables-variant ${variant ?? 'legacy'}\` removes them`
  if (type === 'LEFT_OVER_CHAIN')
    return `the proxy deletes it at its next full sync; if not, see what leads there: iptables-save -t ${table} | grep ${chain}`
  // Of this machine it is known which tables and settings its kernel has; of a file's it is not.
  if (variant === undefined && type === 'MISSING_TABLE')
    return `give a save of all tables (iptables-save without -t); if the kernel lacks it too, ${AGAIN}`
  if (
    variant === undefined &&
    type === 'MISSING_RULE' &&
    expected.some(({ line }) => line.includes('--ctstate INVALID'))
  )
    return `${AGAIN}; where the kernel has nf_conntrack_tcp_be_liberal set it is not wanted: give --conntrack-tcp-be-liberal`
  return TO_DO[type] ?? AGAIN
}

const AGAIN = 'the proxy puts it right at its next full sync, or when it is restarted; `pointsman apply` does it now'

/** Of the others: AGAIN. */
const TO_DO: Readonly<Record<string, string>> = {
  NO_CHAINS: `${AGAIN}; then find what flushed the table: a firewall that was restarted, iptables -F, another variant`,
  MISSING_JUMP: `${AGAIN}; then find what deleted it: a firewall that was restarted, iptables -F`,
  EXTRA_JUMP: `${AGAIN}; see that no second proxy runs on the node`,
  DUPLICATE_RULE: `${AGAIN}; see that no second proxy runs on the node`,
  FOREIGN_RULE: 'have its owner put it into a chain of its own: the proxy deletes what it finds in its chains',
  MARK_BIT: 'have its owner use another bit, or the proxy: iptables.masqueradeBit of its configuration',
} satisfies { readonly [type in FindingType]?: string }
