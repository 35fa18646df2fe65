import type { Rule, SavedChain, SavedTable } from 'node-iptables'
import { TABLES, type Ruleset, type Table } from '../ruleset/ruleset.js'

/**
 * The tables that a namespace has which holds these rules and no others, as iptables-save orders them: what a save is
 * compared with.
 */
export function savedTablesOf(ruleset: Ruleset): readonly SavedTable[] {
  return TABLES.map((table) => ({
    table,
    chains: [
      ...BUILT_IN[table].map((chain): SavedChain => ({
        chain,
        policy: 'ACCEPT',
        counters: NONE,
        rules: saved(jumps(ruleset, table, chain)),
      })),
      ...[...chainsOf(ruleset, table)].map(([chain, rules]): SavedChain => ({
        chain,
        counters: NONE,
        rules: saved(rules),
      })),
    ],
  }))
}

/** The rules of every chain of ours in one table, with those of the services that share it; sorted by the chains' names. */
export function chainsOf({ base, services }: Ruleset, table: Table): ReadonlyMap<string, readonly Rule[]> {
  const shared = new Map<string, Rule[]>()
  const chains = new Map<string, readonly Rule[]>()
  for (const service of services) {
    for (const own of service.chains) if (own.table === table) chains.set(own.chain, own.rules)
    for (const entry of service.entries) {
      if (entry.table !== table) continue
      const rules = shared.get(entry.chain)
      if (rules === undefined) shared.set(entry.chain, [...entry.rules])
      else for (const rule of entry.rules) rules.push(rule)
    }
  }
  for (const { table: of, chain, first, last } of base.chains) {
    if (of === table) chains.set(chain, [...first, ...(shared.get(chain) ?? []), ...last])
  }
  return new Map([...chains].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** In the kernel's order, which is a packet's. */
const BUILT_IN: { readonly [table in Table]: readonly string[] } = {
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
}

const jumps = ({ base }: Ruleset, table: Table, chain: string): readonly Rule[] =>
  base.jumps.filter((jump) => jump.table === table && jump.chain === chain).map(({ rule }) => rule)

/** A save prints chains with counters, and rules without. */
const NONE = { packets: '0', bytes: '0' }

const saved = (rules: readonly Rule[]): SavedChain['rules'] => rules.map((rule) => ({ rule }))
