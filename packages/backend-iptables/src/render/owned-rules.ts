import type { ServicePortName } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { TABLES, type Ruleset, type Table } from '../ruleset/ruleset.js'

export interface OwnedRule {
  readonly table: Table
  readonly chain: string
  readonly rule: Rule
  /** The service port that it is for. Undefined: it is there whatever services there are. */
  readonly owner: ServicePortName | undefined
}

/** Every rule with the service port that it is for, in the order in which a save has them. */
export function* ownedRules(ruleset: Ruleset): Generator<OwnedRule, void, undefined> {
  for (const table of TABLES) {
    for (const { table: of, chain, rule } of ruleset.base.jumps) {
      if (of === table) yield { table, chain, rule, owner: undefined }
    }
    for (const [chain, rules] of ownedChains(ruleset, table)) {
      for (const { rule, owner } of rules) yield { table, chain, rule, owner }
    }
  }
}

type ChainRule = Pick<OwnedRule, 'rule' | 'owner'>

/** By the chains' names. */
function ownedChains({ base, services }: Ruleset, table: Table): Iterable<readonly [string, readonly ChainRule[]]> {
  const chains = new Map<string, ChainRule[]>()
  const append = (chain: string, rules: readonly Rule[], owner?: ServicePortName): void => {
    const found = chains.get(chain) ?? []
    for (const rule of rules) found.push({ rule, owner })
    chains.set(chain, found)
  }
  const baseChains = base.chains.filter((chain) => chain.table === table)
  for (const { chain, first } of baseChains) append(chain, first)
  for (const { owner, chains: own, entries } of services) {
    for (const part of [own, entries]) {
      for (const { table: of, chain, rules } of part) if (of === table) append(chain, rules, owner)
    }
  }
  for (const { chain, last } of baseChains) append(chain, last)
  return [...chains].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
