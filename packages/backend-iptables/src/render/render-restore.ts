import { formatRestoreLine, type RestoreLine, type Rule } from 'node-iptables'
import { isServiceChain } from '../ruleset/chain-names.js'
import type { BaseChain, JumpRule, Ruleset, Table } from '../ruleset/ruleset.js'
import { chainsOf } from './saved-tables-of.js'

/** What is in the kernel already: what the input is restored onto. */
export interface RestoreOnto {
  /** The chains of each table that are no built-in ones. A table that was not looked at has none. */
  readonly chains: { readonly [table in Table]?: ReadonlySet<string> }
  /** The rules of `ruleset.base.jumps` that are lacking. They are put at the beginning of their chains. */
  readonly missingJumps: readonly JumpRule[]
  /** Chains, as `TABLE CHAIN`, that rules of others lead to: they are emptied where they are not planned, and kept. */
  readonly referred?: ReadonlySet<string>
}

/**
 * The input of `iptables-restore --noflush --counters` that brings all of a ruleset about, line by line without line ends.
 * Chains of services that are in the kernel and not in the ruleset are deleted; what is not ours is not touched.
 *
 * Each table is applied at its COMMIT, and a service may change tables: one that lost its endpoints from nat to filter,
 * one that has new ones back. So that no moment leaves it in neither, filter is written twice where it is there: first the
 * new rules are put below the old ones, then nat is written, then filter as it is to be. What nat sends to an endpoint no
 * longer matches in filter, so that having a service in both is harmless.
 */
export function* renderRestore(ruleset: Ruleset, onto: RestoreOnto = NOTHING): Generator<string, void, undefined> {
  for (const line of restoreLines(ruleset, onto)) yield formatRestoreLine(line)
}

const NOTHING: RestoreOnto = { chains: {}, missingJumps: [] }

function* restoreLines(ruleset: Ruleset, onto: RestoreOnto): Generator<RestoreLine> {
  yield* wholeTable('mangle', ruleset, onto)
  yield* newFilterRules(ruleset, onto)
  yield* wholeTable('nat', ruleset, onto)
  yield* wholeTable('filter', ruleset, onto)
}

/** The rules of services in filter, put below what is there. */
function* newFilterRules({ base, services }: Ruleset, { chains }: RestoreOnto): Generator<RestoreLine> {
  const shared = base.chains.filter(({ table, role }) => table === 'filter' && role === 'dispatch')
  const missing = shared.filter(({ chain }) => chains.filter?.has(chain) !== true)
  // Without these there is nothing that could be in between.
  if (missing.length === shared.length) return
  yield { type: 'table', table: 'filter' }
  for (const { chain } of missing) yield { type: 'chain', chain, counters: NONE }
  for (const { entries } of services) {
    for (const { table, chain, rules } of entries) if (table === 'filter') yield* appended(chain, rules)
  }
  yield { type: 'commit' }
}

function* wholeTable(table: Table, ruleset: Ruleset, onto: RestoreOnto): Generator<RestoreLine> {
  const existing = onto.chains[table] ?? new Set()
  const planned = chainsOf(ruleset, table)
  const kept = new Set(
    ruleset.base.chains.filter((chain) => chain.table === table && isKept(chain, existing)).map(({ chain }) => chain),
  )
  const stale = [...existing].filter((chain) => isServiceChain(chain) && !planned.has(chain)).toSorted()
  yield { type: 'table', table }
  // A line for a chain makes it, or empties it.
  for (const chain of planned.keys()) if (!kept.has(chain)) yield { type: 'chain', chain, counters: NONE }
  for (const chain of stale) yield { type: 'chain', chain, counters: NONE }
  for (const [chain, rules] of planned) yield* appended(chain, rules)
  for (const chain of stale) {
    if (onto.referred?.has(`${table} ${chain}`) !== true) yield { type: 'delete-chain', chain }
  }
  // Each goes to the first place, so that the last one to come is the first one to stand.
  for (const jump of onto.missingJumps.toReversed()) {
    if (jump.table === table) yield { type: 'insert', chain: jump.chain, position: 1, rule: jump.rule }
  }
  yield { type: 'commit' }
}

/** A chain of kubelet's that we have nothing for: what is in it is kubelet's. */
const isKept = ({ role, chain, first, last }: BaseChain, existing: ReadonlySet<string>): boolean =>
  role === 'kubelet' && first.length === 0 && last.length === 0 && existing.has(chain)

const NONE = { packets: '0', bytes: '0' }

function* appended(chain: string, rules: readonly Rule[]): Generator<RestoreLine> {
  for (const rule of rules) yield { type: 'append', chain, rule }
}
