import { formatRule, parseRestoreLine, type Rule } from 'node-iptables'
import { chainKey, type ChainKey, linesOf, type RuleLines } from '../plan/installed.js'
import { CHAINS } from '../ruleset/chain-names.js'
import { type JumpRule, type Table, TABLES } from '../ruleset/ruleset.js'
import { isJumpOfNote, jumpsFound } from './jumps-found.js'
import { chainOf, hasMarkDrop, isOurChain, MARK_DROP } from './ownership.js'
import type { ForeignReference, Reading } from './read-found.js'

export interface FoundReader {
  /** One line of a save after the other, its tables in any order. */
  readonly read: (line: string) => void
  readonly end: () => Reading
}

/** Takes from a save what it has of the proxy's chains, and what leads to them. */
export function foundReader(): FoundReader {
  const chains = new Map<ChainKey, RuleLines>()
  const foreign: ForeignReference[] = []
  const jumps: JumpRule[] = []
  const firewall: Rule[] = []
  /** Of the nat table: what kubelet has in the filter table says whose this chain is. */
  const aboutMarkDrop: string[] = []
  let table: Table | undefined
  let isMarkDropOurs: boolean | undefined
  /** The chain whose rules are being read: its text is made once, when they are complete. */
  let open: { readonly chain: string; readonly key: ChainKey; readonly rules: string[] } | undefined

  const close = (): void => {
    if (open !== undefined) chains.set(open.key, open.rules.join('\n'))
    open = undefined
  }

  const isOurs = (chain: string): boolean =>
    isOurChain(chain) || (isMarkDropOurs === true && table === 'nat' && chain === MARK_DROP)

  const declare = (inTable: Table, chain: string): void => {
    if (isOurs(chain) || chain === CHAINS.firewall) chains.set(chainKey(inTable, chain), '')
  }

  const append = (inTable: Table, chain: string, text: string): void => {
    const rule = text.slice(`-A ${chain} `.length)
    if (open?.chain !== chain) {
      close()
      const key = chainKey(inTable, chain)
      const sofar = chains.get(key)
      if (sofar === undefined) return
      open = { chain, key, rules: [...linesOf(sofar)] }
    }
    open.rules.push(rule)
  }

  const note = (inTable: Table, from: string, text: string): void => {
    if (!LEADS_TO_KUBE.test(text)) return
    const rule = ruleOf(text)
    const jump: JumpRule = { table: inTable, chain: from, rule }
    const chain = chainOf(rule)
    if (isJumpOfNote(jump)) jumps.push(jump)
    else if (chain !== undefined && isOurs(chain)) {
      foreign.push({ table: inTable, from, rule: formatRule(rule), chain })
    }
  }

  const take = (inTable: Table, text: string): void => {
    if (text.startsWith(':')) return declare(inTable, text.slice(1, text.indexOf(' ')))
    if (!text.startsWith('-A ')) return
    const from = chainOfLine(text)
    if (isOurs(from)) return append(inTable, from, text)
    if (from === CHAINS.firewall) append(inTable, from, text)
    if (from === CHAINS.firewall && inTable === 'filter') firewall.push(ruleOf(text))
    note(inTable, from, text)
  }

  return {
    read(text) {
      if (text.startsWith('*')) {
        close()
        table = TABLES.find((one) => text === `*${one}`)
      } else if (table === 'nat' && text.includes(MARK_DROP) && !isOurChain(chainOfLine(text))) aboutMarkDrop.push(text)
      else if (table !== undefined) take(table, text)
    },
    end() {
      close()
      table = 'nat'
      isMarkDropOurs = !hasMarkDrop(firewall)
      for (const text of aboutMarkDrop) take(table, text)
      close()
      const { missing, extra } = jumpsFound(jumps)
      return {
        chains,
        missingJumps: missing,
        extraJumps: extra,
        referred: new Set(foreign.map(({ table: of, chain }) => chainKey(of, chain))),
        foreign,
      }
    },
  }
}

const LEADS_TO_KUBE = / -[jg] KUBE-/

/** Of a line that begins with `-A `; of others nothing that counts. */
function chainOfLine(text: string): string {
  const end = text.indexOf(' ', 3)
  return end < 0 ? text.slice(3) : text.slice(3, end)
}

/** The rule of a line that begins with `-A `. */
function ruleOf(text: string): Rule {
  const line = parseRestoreLine(text, 1)
  return line.type === 'append' ? line.rule : { matches: [] }
}
