import {
  chainsOf,
  ownedRules,
  type OwnedRule,
  type Ruleset,
  savedTablesOf,
  type Table,
  TABLES,
} from '@pointsman/backend-iptables'
import { CliError } from '../errors.js'
import { didYouMean } from '../input/suggest.js'

/** The rules of a chain, in each table that has one of that name. */
export interface ChainRulesFound {
  readonly table: Table
  readonly rules: readonly OwnedRule[]
}

/** CliError NOT_FOUND for a chain that the ruleset does not have. `when`: `at seq 108`. */
export function chainRules(chain: string, ruleset: Ruleset, when: string): readonly ChainRulesFound[] {
  const found = savedTablesOf(ruleset).filter(({ chains }) => chains.some((each) => each.chain === chain))
  if (found.length === 0) throw noSuchChain(chain, ruleset, when)
  const rules = [...ownedRules(ruleset)].filter((owned) => owned.chain === chain)
  return TABLES.filter((table) => found.some((each) => each.table === table)).map((table) => ({
    table,
    rules: rules.filter((owned) => owned.table === table),
  }))
}

function noSuchChain(chain: string, ruleset: Ruleset, when: string): CliError {
  const known = TABLES.flatMap((table) => [...chainsOf(ruleset, table).keys()])
  const hint = didYouMean(chain, known)
  return new CliError('NOT_FOUND', `there is no chain ${chain} ${when}${hint}`)
}
