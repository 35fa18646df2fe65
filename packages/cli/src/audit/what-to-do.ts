import type { FindingType } from '@pointsman/backend-iptables'
import type { PlacedFinding } from './find-findings.js'

/** One line for a person: what to do about a finding. */
export function whatToDo({ type, variant, table, chain, expected = [] }: PlacedFinding): string {
  if (type === 'OTHER_VARIANT')
    return `once nothing writes there any more, \`pointsman cleanup --iptables-variant ${variant ?? 'legacy'}\` removes them`
  if (type === 'LEFT_OVER_CHAIN')
    return `the proxy deletes it at its next full sync; if not, see what leads there: iptables-save -t ${table} | grep ${chain}`
  // Of this machine it is known which tables and settings its kernel has; of a file's it is not.
  if (variant === undefined && type === 'MISSING_TABLE')
    return `give a save of all tables (iptables-save without -t); if the kernel lacks it too, ${AGAIN}`
  if (variant === undefined && type === 'MISSING_RULE' && expected.some((rule) => rule.includes('--ctstate INVALID')))
    return `${AGAIN}; where the kernel has nf_conntrack_tcp_be_liberal set it is not wanted: give --conntrack-tcp-be-liberal`
  return TO_DO[type]
}

const AGAIN = 'the proxy puts it right at its next full sync, or when it is restarted; `pointsman apply` does it now'

const TO_DO: { readonly [type in Exclude<FindingType, 'OTHER_VARIANT' | 'LEFT_OVER_CHAIN'>]: string } = {
  MISSING_TABLE: AGAIN,
  NO_CHAINS: `${AGAIN}; then find what flushed the table: a firewall that was restarted, iptables -F, another variant`,
  MISSING_CHAIN: AGAIN,
  MISSING_RULE: AGAIN,
  MISSING_JUMP: `${AGAIN}; then find what deleted it: a firewall that was restarted, iptables -F`,
  EXTRA_JUMP: `${AGAIN}; see that no second proxy runs on the node`,
  CHANGED_RULE: AGAIN,
  OUT_OF_ORDER: AGAIN,
  DUPLICATE_RULE: `${AGAIN}; see that no second proxy runs on the node`,
  LEFT_OVER_RULE: AGAIN,
  FOREIGN_RULE: 'have its owner put it into a chain of its own: the proxy deletes what it finds in its chains',
  MARK_BIT: 'have its owner use another bit, or the proxy: iptables.masqueradeBit of its configuration',
}
