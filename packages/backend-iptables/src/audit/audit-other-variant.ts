import type { SavedTable } from 'node-iptables'
import { isOurChain } from '../adapter/ownership.js'
import { CHAINS } from '../ruleset/chain-names.js'
import { foundRule } from './compared-rule.js'
import type { TableFinding } from './finding.js'

/**
 * What the variant of iptables that the node does not use has of the proxy's: one finding for all, with the rules. What
 * kubelet makes may be in both: its own chains and, before 1.28, KUBE-MARK-MASQ and KUBE-POSTROUTING; an empty canary is nothing.
 */
export function auditOtherVariant(tables: readonly SavedTable[]): readonly TableFinding[] {
  const chains = tables.flatMap(({ table, chains: all }) =>
    all.filter(({ chain }) => isOurChain(chain)).map(({ chain, rules }) => ({ table, chain, rules })),
  )
  if (chains.every(({ chain }) => NOT_OF_PROXIES_ALONE.has(chain))) return []
  const found = chains.flatMap(({ rules, ...place }) => rules.map(({ rule }) => foundRule(place, rule)))
  return [{ type: 'OTHER_VARIANT', table: '', chain: '', ...(found.length > 0 && { found }) }]
}

const NOT_OF_PROXIES_ALONE: ReadonlySet<string> = new Set([CHAINS.canary, CHAINS.markMasq, CHAINS.postrouting])
