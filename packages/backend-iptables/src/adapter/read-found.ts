import { formatRule, type Iptables, parseRestoreLine, type Rule } from 'node-iptables'
import type { Found } from '../plan/installed.js'
import { chainKey, type ChainKey } from '../plan/rendered-service.js'
import { CHAINS } from '../ruleset/chain-names.js'
import { type JumpRule, TABLES, type Table } from '../ruleset/ruleset.js'
import { isJumpOfNote, jumpsFound } from './jumps-found.js'
import { chainOf, hasMarkDrop, isOurChain, MARK_DROP } from './ownership.js'

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
  const jumps: JumpRule[] = []
  const firewall: Rule[] = []
  for (const table of TABLES) {
    // What kubelet has in the filter table says whose a chain of the nat table is, which comes later.
    const isOurs = (chain: string): boolean =>
      isOurChain(chain) || (table === 'nat' && chain === MARK_DROP && !hasMarkDrop(firewall))
    const isRead = (chain: string): boolean => isOurs(chain) || chain === CHAINS.firewall
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
      if (table === 'filter' && from === CHAINS.firewall) firewall.push(ruleOf(text))
      if (isOurs(from) || !LEADS_TO_KUBE.test(text)) continue
      const jump: JumpRule = { table, chain: from, rule: ruleOf(text) }
      const chain = chainOf(jump.rule)
      if (isJumpOfNote(jump)) jumps.push(jump)
      else if (chain !== undefined && isOurs(chain)) foreign.push({ table, from, rule: formatRule(jump.rule), chain })
    }
  }
  const { missing, extra } = jumpsFound(jumps)
  return {
    chains: new Map([...chains].map(([key, rules]) => [key, rules.join('\n')])),
    missingJumps: missing,
    extraJumps: extra,
    referred: new Set(foreign.map(({ table, chain }) => chainKey(table, chain))),
    foreign,
  }
}

const LEADS_TO_KUBE = / -[jg] KUBE-/

/** The rule of a line that begins with `-A `. */
function ruleOf(text: string): Rule {
  const line = parseRestoreLine(text, 1)
  return line.type === 'append' ? line.rule : { matches: [] }
}
