import { formatRule, type Iptables, parseRestoreLine, type Rule } from 'node-iptables'
import type { RestoreOnto } from '../render/render-restore.js'
import { JUMPS } from '../ruleset/jump-rules.js'
import { TABLES, type Table } from '../ruleset/ruleset.js'
import { chainOf, isOurChain } from './ownership.js'

/** A rule of somebody else that leads to a chain of ours, so that the chain cannot be deleted. */
export interface ForeignReference {
  readonly table: Table
  /** Where the rule stands. */
  readonly from: string
  /** In iptables-save's spelling. */
  readonly rule: string
  readonly chain: string
}

export interface Look extends RestoreOnto {
  readonly foreign: readonly ForeignReference[]
}

/** Reads what a restore has to know of the tables: the chains that are there, our jumps, and who else leads to our chains. */
export async function lookAtTables(iptables: Pick<Iptables, 'saveLines'>, signal?: AbortSignal): Promise<Look> {
  const chains: { [table in Table]?: Set<string> } = {}
  const foreign: ForeignReference[] = []
  const found = new Set<string>()
  for (const table of TABLES) {
    const names = new Set<string>()
    chains[table] = names
    for await (const text of iptables.saveLines({ table }, { signal })) {
      if (text.startsWith(':')) {
        // A built-in chain has a policy.
        const [chain = '', policy] = text.slice(1).split(' ')
        if (policy === '-') names.add(chain)
        continue
      }
      const from = FROM.exec(text)?.[1]
      if (from === undefined || isOurChain(from) || !LEADS_TO_KUBE.test(text)) continue
      const line = parseRestoreLine(text, 0)
      if (line.type !== 'append') continue
      const rule = formatRule(line.rule)
      const chain = chainOf(line.rule)
      if (JUMP_KEYS.has(jumpKey(table, from, rule))) found.add(jumpKey(table, from, rule))
      else if (chain !== undefined && isOurChain(chain)) foreign.push({ table, from, rule, chain })
    }
  }
  return {
    chains,
    missingJumps: JUMPS.filter(({ table, chain, rule }) => !found.has(jumpKey(table, chain, formatRule(rule)))),
    referred: new Set(foreign.map(({ table, chain }) => `${table} ${chain}`)),
    foreign,
  }
}

const FROM = /^-A (\S+)/
const LEADS_TO_KUBE = / -[jg] KUBE-/

const jumpKey = (table: Table, from: string, rule: string): string => `${table} ${from} ${rule}`

const JUMP_KEYS: ReadonlySet<string> = new Set(
  JUMPS.map(({ table, chain, rule }: { table: Table; chain: string; rule: Rule }) =>
    jumpKey(table, chain, formatRule(rule)),
  ),
)
