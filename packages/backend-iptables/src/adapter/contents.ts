import { createHash } from 'node:crypto'
import type { BackendContents, IpFamily } from '@pointsman/core'
import { formatRule, type SavedTable } from 'node-iptables'
import { isOurChain, isOurJump } from './ownership.js'

/** What one family has, as iptables-save prints it or as it was planned. */
export interface FamilyTables {
  readonly family: IpFamily
  readonly tables: readonly SavedTable[]
}

/**
 * The proxy's rules among those of the tables: those of its chains, and the jumps to them. Counted, and with a digest over
 * their text. KUBE-FIREWALL and what leads to it are left out, because they are kubelet's too.
 */
export function contentsOf(families: readonly FamilyTables[]): BackendContents {
  const hash = createHash('sha256')
  let rules = 0
  for (const { family, tables } of families) {
    for (const line of linesOf(tables)) {
      hash.update(`${family} ${line}\n`)
      rules += 1
    }
  }
  return { rules, digest: hash.digest('hex') }
}

function* linesOf(tables: readonly SavedTable[]): Generator<string> {
  for (const { table, chains } of sortedBy(tables, ({ table }) => table)) {
    for (const { chain, rules } of sortedBy(chains, ({ chain }) => chain)) {
      const isOurs = isOurChain(chain)
      for (const { rule } of rules) if (isOurs || isOurJump(rule)) yield `${table} ${chain} ${formatRule(rule)}`
    }
  }
}

const sortedBy = <T>(items: readonly T[], key: (item: T) => string): readonly T[] =>
  items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
