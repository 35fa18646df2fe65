import { IptablesParseError } from './parse-rule.js'
import { formatRestoreLine, parseRestoreLine } from './restore-line.js'
import type { Counters, Rule } from './rule.js'
import { splitWords } from './values.js'

/** One table as iptables-save prints it. */
export interface SavedTable {
  readonly table: string
  /** In the order of the text: built-in chains first. */
  readonly chains: readonly SavedChain[]
}

export interface SavedChain {
  readonly chain: string
  /** ACCEPT or DROP of a built-in chain. Undefined: a user chain. */
  readonly policy?: string | undefined
  /** Undefined: not printed. */
  readonly counters?: Counters | undefined
  readonly rules: readonly SavedRule[]
}

export interface SavedRule {
  readonly rule: Rule
  /** Undefined: saved without counters. */
  readonly counters?: Counters | undefined
}

/** Reads what iptables-save printed. Comments and empty lines are left out. Fails with an IptablesParseError. */
export function parseSave(text: string): readonly SavedTable[] {
  const reader = saveReader()
  for (const line of text.split('\n')) reader.add(line)
  return reader.end()
}

/** The same for lines as they come, of any number: every few thousand lines the event loop gets its turn. */
export async function parseSaveLines(lines: AsyncIterable<string> | Iterable<string>): Promise<readonly SavedTable[]> {
  const reader = saveReader()
  let count = 0
  const takeTurn = (): boolean => {
    count += 1
    return count % LINES_A_TURN === 0
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  if (Symbol.iterator in lines) {
    // Waiting for each of what is there already would take longer than reading it.
    for (const line of lines) {
      reader.add(line)
      if (takeTurn()) await turn()
    }
  } else {
    for await (const line of lines) {
      reader.add(line)
      if (takeTurn()) await turn()
    }
  }
  return reader.end()
}

const LINES_A_TURN = 1000

/**
 * The text of the tables, ending with a line end; line for line what iptables-save prints, without its comments. Fails
 * with an IptablesFormatError.
 */
export function formatSave(tables: readonly SavedTable[]): string {
  return [...saveLinesOf(tables)].map((line) => `${line}\n`).join('')
}

/** Its lines one by one, without line ends, as a restore takes them. Fails with an IptablesFormatError. */
export function* saveLinesOf(tables: Iterable<SavedTable>): Generator<string, void, undefined> {
  for (const { table, chains } of tables) {
    yield formatRestoreLine({ type: 'table', table })
    for (const { chain, policy, counters } of chains) {
      yield formatRestoreLine({
        type: 'chain',
        chain,
        ...(policy === undefined ? {} : { policy }),
        ...(counters === undefined ? {} : { counters }),
      })
    }
    for (const { chain, rules } of chains) {
      for (const { rule, counters } of rules) {
        yield formatRestoreLine({ type: 'append', chain, rule, ...(counters === undefined ? {} : { counters }) })
      }
    }
    yield formatRestoreLine({ type: 'commit' })
  }
}

interface OpenChain extends Omit<SavedChain, 'rules'> {
  readonly rules: SavedRule[]
}

interface SaveReader {
  readonly add: (line: string) => void
  readonly end: () => readonly SavedTable[]
}

function saveReader(): SaveReader {
  const tables: SavedTable[] = []
  let open: { readonly table: string; readonly chains: Map<string, OpenChain> } | undefined
  let number = 0

  const add = (text: string): void => {
    number += 1
    const line = parseRestoreLine(text, number)
    if (line.type === 'blank' || line.type === 'comment') return
    if (line.type === 'table') {
      if (open !== undefined) throw new IptablesParseError('UNFINISHED_TABLE', { line: number, text })
      open = { table: line.table, chains: new Map() }
      return
    }
    if (open === undefined) throw new IptablesParseError('OUTSIDE_TABLE', { line: number, text })
    if (line.type === 'commit') {
      tables.push({ table: open.table, chains: [...open.chains.values()] })
      open = undefined
    } else if (line.type === 'chain') {
      if (open.chains.has(line.chain)) {
        throw new IptablesParseError('REPEATED_CHAIN', { line: number, text, found: line.chain })
      }
      const { chain, policy, counters } = line
      open.chains.set(chain, {
        chain,
        ...(policy === undefined ? {} : { policy }),
        ...(counters === undefined ? {} : { counters }),
        rules: [],
      })
    } else if (line.type === 'append') {
      const chain = open.chains.get(line.chain)
      if (chain === undefined) {
        throw new IptablesParseError('UNDECLARED_CHAIN', { line: number, text, found: line.chain })
      }
      chain.rules.push({ rule: line.rule, ...(line.counters === undefined ? {} : { counters: line.counters }) })
    } else throw new IptablesParseError('NOT_A_SAVE', { line: number, text })
  }

  const end = (): readonly SavedTable[] => {
    if (open !== undefined) throw new IptablesParseError('UNFINISHED_TABLE', { line: number, text: `*${open.table}` })
    return tables
  }

  return { add, end }
}

/**
 * Whether a save's text has the rule in that chain: the check for versions without `-C`. Spelling does not count where
 * save's is known to differ: order of options, quotes, `/32`, `/128`, zeros in hexadecimal numbers, `-m PROTOCOL` after
 * `-p PROTOCOL`, long names of the options that have short ones.
 */
export function isRuleInSave(
  save: string,
  { chain, rule }: { readonly chain: string; readonly rule: readonly string[] },
): boolean {
  const prefix = `-A ${chain} `
  const wanted = meaningOf(rule)
  return save
    .split('\n')
    .some((line) => line.startsWith(prefix) && meaningOf(wordsOf(line.slice(prefix.length))) === wanted)
}

/** No line that iptables printed has a quotation without an end. */
function wordsOf(text: string): readonly string[] {
  const split = splitWords(text)
  return split.type === 'words' ? split.words.map((word) => word.text) : []
}

function meaningOf(words: readonly string[]): string {
  const spelled = words.map((word) => canonicalWord(word))
  const protocol = spelled[spelled.indexOf('-p') + 1]
  const counted = spelled.filter(
    (word, at) => !isImplied({ word, next: spelled[at + 1], before: spelled[at - 1], protocol }),
  )
  return JSON.stringify(counted.toSorted())
}

function isImplied({ word, next, before, protocol }: WordPlace): boolean {
  return protocol !== undefined && ((word === '-m' && next === protocol) || (before === '-m' && word === protocol))
}

interface WordPlace {
  readonly word: string
  readonly next: string | undefined
  readonly before: string | undefined
  readonly protocol: string | undefined
}

function canonicalWord(word: string): string {
  const short = SHORT_NAMES.get(word)
  if (short !== undefined) return short
  return word
    .replace(/^([\d.]+)\/32$/, '$1')
    .replace(/^([\da-f:]+)\/128$/i, '$1')
    .replaceAll(/\b0x0*([\da-f])/gi, '0x$1')
}

const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['--protocol', '-p'],
  ['--source', '-s'],
  ['--src', '-s'],
  ['--destination', '-d'],
  ['--dst', '-d'],
  ['--in-interface', '-i'],
  ['--out-interface', '-o'],
  ['--jump', '-j'],
  ['--goto', '-g'],
  ['--match', '-m'],
  ['--destination-port', '--dport'],
  ['--source-port', '--sport'],
])
