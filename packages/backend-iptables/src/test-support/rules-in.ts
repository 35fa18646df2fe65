import { formatRule } from 'node-iptables'
import { readListing } from '../loaded-tables.js'

/** Tables, chains and rules of a text of rules in the words of a save, without counters; chains in order of their names. */
export async function rulesIn(text: string): Promise<{ readonly [table: string]: object }> {
  const { tables } = await readListing(text, { name: 'text', refuse: (message) => new Error(message) })
  const entries = tables.map(({ table, chains }) => [table, Object.fromEntries(chains.map(ofChain).toSorted(byName))])
  return Object.fromEntries(entries) as { readonly [table: string]: object }
}

type Chain = Awaited<ReturnType<typeof readListing>>['tables'][number]['chains'][number]
type Entry = readonly [chain: string, lines: readonly string[]]

const ofChain = ({ chain, policy, rules }: Chain): Entry => [
  chain,
  [policy ?? '-', ...rules.map(({ rule }) => formatRule(rule))],
]

const byName = ([one]: Entry, [other]: Entry): number => (one < other ? -1 : 1)
