import type { Rule, SavedTable } from 'node-iptables'
import { TraceError } from './trace-error.js'

/** Rules by table and chain. */
export interface RuleTables {
  readonly has: (table: string) => boolean
  readonly chain: (table: string, chain: string) => ChainText | undefined
}

export interface ChainText {
  readonly rules: readonly Rule[]
  /** ACCEPT where the text does not say. */
  readonly policy: string
}

/** Throws a TraceError for what is more than one save. */
export function ruleTablesOf(tables: readonly SavedTable[]): RuleTables {
  const byTable = new Map<string, ReadonlyMap<string, ChainText>>()
  for (const { table, chains } of tables) {
    if (byTable.has(table)) {
      throw new TraceError('TABLE_TWICE', `the table ${table} is there twice: give what one iptables-save printed`)
    }
    byTable.set(
      table,
      new Map(
        chains.map(({ chain, policy = 'ACCEPT', rules }) => [chain, { rules: rules.map(({ rule }) => rule), policy }]),
      ),
    )
  }
  return {
    has: (table) => byTable.has(table),
    chain: (table, chain) => byTable.get(table)?.get(chain),
  }
}
