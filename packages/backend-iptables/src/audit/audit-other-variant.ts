import type { SavedTable } from 'node-iptables'
import { isOurChain } from '../adapter/ownership.js'
import { spelt } from './compared-rule.js'
import type { AuditFinding } from './finding.js'

/**
 * What the variant of iptables that the node does not use has of the proxy's: one finding for all, with the rules. kubelet's
 * chains may be in both.
 */
export function auditOtherVariant(tables: readonly SavedTable[]): readonly AuditFinding[] {
  const chains = tables.flatMap((table) => table.chains.filter(({ chain }) => isOurChain(chain)))
  if (chains.length === 0) return []
  const found = chains.flatMap(({ chain, rules }) => rules.map(({ rule }) => spelt(chain, rule)))
  return [{ type: 'OTHER_VARIANT', table: '', chain: '', ...(found.length > 0 && { found }) }]
}
