import { formatRule, type Iptables, parseRestoreLine } from 'node-iptables'
import type { Found } from '../plan/installed.js'
import { chainKey, type ChainKey } from '../plan/rendered-service.js'
import { CHAINS } from '../ruleset/chain-names.js'
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

export interface Reading extends Found {
  readonly foreign: readonly ForeignReference[]
}

/** Reads what is in the kernel of the proxy's chains, and what leads to them. Changes nothing. */
export async function readFound(iptables: Pick<Iptables, 'saveLines'>, signal?: AbortSignal): Promise<Reading> {
  const chains = new Map<ChainKey, string[]>()
  const foreign: ForeignReference[] = []
  const jumps = new Set<string>()
  for (const table of TABLES) {
    for await (const text of iptables.saveLines({ table }, { signal })) {
      if (text.startsWith(':')) {
        const chain = text.slice(1, text.indexOf(' '))
        if (isRead(chain)) chains.set(chainKey(table, chain), [])
        continue
      }
      if (!text.startsWith('-A ')) continue
      const end = text.indexOf(' ', 3)
      const [from, rule] = end < 0 ? [text.slice(3), ''] : [text.slice(3, end), text.slice(end + 1)]
      if (isRead(from)) chains.get(chainKey(table, from))?.push(rule)
      if (isOurChain(from) || !LEADS_TO_KUBE.test(text)) continue
      const key = jumpKey(table, from, rule)
      if (JUMP_KEYS.has(key)) jumps.add(key)
      else foreign.push(...referenceIn(text, table))
    }
  }
  return {
    chains: new Map([...chains].map(([key, rules]) => [key, rules.join('\n')])),
    missingJumps: JUMPS.filter(({ table, chain, rule }) => !jumps.has(jumpKey(table, chain, formatRule(rule)))),
    referred: new Set(foreign.map(({ table, chain }) => chainKey(table, chain))),
    foreign,
  }
}

const isRead = (chain: string): boolean => isOurChain(chain) || chain === CHAINS.firewall

const LEADS_TO_KUBE = / -[jg] KUBE-/

const jumpKey = (table: Table, from: string, rule: string): string => `${table} ${from} ${rule}`

const JUMP_KEYS: ReadonlySet<string> = new Set(
  JUMPS.map(({ table, chain, rule }) => jumpKey(table, chain, formatRule(rule))),
)

function referenceIn(text: string, table: Table): readonly ForeignReference[] {
  const line = parseRestoreLine(text, 1)
  const chain = line.type === 'append' ? chainOf(line.rule) : undefined
  if (line.type !== 'append' || chain === undefined || !isOurChain(chain)) return []
  return [{ table, from: line.chain, rule: formatRule(line.rule), chain }]
}
