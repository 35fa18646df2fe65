import type { ServicePortName } from '@pointsman/core'
import { identityOf, oddsOf } from '../blame/rule-identity.js'
import type { OwnedRule } from '../render/owned-rules.js'
import type { Table } from '../ruleset/ruleset.js'

export type RuleDifference =
  | { readonly type: 'added'; readonly rule: OwnedRule }
  | { readonly type: 'removed'; readonly rule: OwnedRule }
  /** Nothing but its odds: other endpoints came or went. `chances / 2^31`; absent: all packets that get to it. */
  | { readonly type: 'odds'; readonly rule: OwnedRule; readonly before?: number; readonly after?: number }

/** What differs in one chain, of the rules that one service port, or none, has in it. */
export interface ChainDifference {
  readonly table: Table
  readonly chain: string
  readonly owner: ServicePortName | undefined
  /** In the order in which the rules stand, those that are gone where they stood. */
  readonly rules: readonly RuleDifference[]
}

/**
 * What differs between rules, chain by chain: by owner and then in the order in which a save has the chains. A rule that
 * only stands elsewhere in its chain is the same: where, other service ports decide.
 */
export function diffRules(before: Iterable<OwnedRule>, after: Iterable<OwnedRule>): readonly ChainDifference[] {
  const was = byChain(before)
  const is = byChain(after)
  const chains = [...new Set([...was.keys(), ...is.keys()])].toSorted()
  return chains.flatMap((key) => {
    const rules = differencesIn(was.get(key) ?? NONE, is.get(key) ?? NONE)
    const [first] = rules
    if (first === undefined) return []
    const { table, chain, owner } = first.rule
    return [{ table, chain, owner, rules }]
  })
}

/** By identity, which is told apart where a chain holds one rule twice. */
type RulesOfChain = ReadonlyMap<string, OwnedRule>
const NONE: RulesOfChain = new Map()

function byChain(rules: Iterable<OwnedRule>): ReadonlyMap<string, RulesOfChain> {
  const chains = new Map<string, Map<string, OwnedRule>>()
  for (const owned of rules) {
    const key = `${owned.owner ?? ''} ${owned.table} ${owned.chain}`
    const chain = chains.get(key) ?? new Map<string, OwnedRule>()
    chains.set(key, chain)
    let identity = identityOf(owned.rule)
    while (chain.has(identity)) identity += ' again'
    chain.set(identity, owned)
  }
  return chains
}

function differencesIn(before: RulesOfChain, after: RulesOfChain): readonly RuleDifference[] {
  const removed = [...before].filter(([identity]) => !after.has(identity))
  const rest = [...after].flatMap(([identity, rule]): readonly RuleDifference[] => {
    const old = before.get(identity)
    if (old === undefined) return [{ type: 'added', rule }]
    const [was, is] = [oddsOf(old.rule)?.chances, oddsOf(rule.rule)?.chances]
    if (was === is) return []
    return [{ type: 'odds', rule, ...(was !== undefined && { before: was }), ...(is !== undefined && { after: is }) }]
  })
  return [...removed.map(([, rule]): RuleDifference => ({ type: 'removed', rule })), ...rest]
}
