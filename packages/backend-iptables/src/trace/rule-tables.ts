import { type ServicePortName, TraceError } from '@pointsman/core'
import type { Rule, SavedChain, SavedTable } from 'node-iptables'

/** A table as iptables-save has it. Of rules that were planned, it is known whose they are. */
export interface OwnedTable extends SavedTable {
  readonly chains: readonly OwnedChain[]
}

export interface OwnedChain extends SavedChain {
  readonly rules: readonly (SavedChain['rules'][number] & OwnedRule)[]
}

export interface OwnedRule {
  readonly rule: Rule
  /** Absent: it is no service port's, or it is not known. */
  readonly owner?: ServicePortName | undefined
}

/** Rules by table and chain. */
export interface RuleTables {
  readonly has: (table: string) => boolean
  readonly chain: (table: string, chain: string) => ChainText | undefined
}

export interface ChainText {
  readonly rules: readonly OwnedRule[]
  /** ACCEPT where the text does not say. */
  readonly policy: string
}

/** Throws a TraceError for what is more than one save. */
export function ruleTablesOf(tables: readonly OwnedTable[]): RuleTables {
  const byTable = new Map<string, ReadonlyMap<string, ChainText>>()
  for (const { table, chains } of tables) {
    if (byTable.has(table)) {
      throw new TraceError('TABLE_TWICE', `the table ${table} is there twice: give what one iptables-save printed`)
    }
    byTable.set(table, new Map(chains.map(({ chain, policy = 'ACCEPT', rules }) => [chain, { rules, policy }])))
  }
  return {
    has: (table) => byTable.has(table),
    chain: (table, chain) => byTable.get(table)?.get(chain),
  }
}
