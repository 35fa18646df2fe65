import {
  displayName,
  parseServicePortName,
  TraceError,
  type RuleService,
  type ServicePortName,
  type TracedRule,
} from '@pointsman/core'
import { formatRule, type Match, type Rule, type SavedChain, type SavedTable } from 'node-iptables'

/** A table as iptables-save has it. Of rules that were planned, it is known whose they are. */
export interface OwnedTable extends SavedTable {
  readonly chains: readonly OwnedChain[]
}

export interface OwnedChain extends SavedChain {
  readonly rules: readonly (SavedChain['rules'][number] & OwnedRule)[]
}

export interface OwnedRule {
  readonly rule: Rule
  /** Absent: it is no service port's, or it is not known. */
  readonly owner?: ServicePortName | undefined
}

/** Rules by table and chain. */
export interface RuleTables {
  readonly has: (table: string) => boolean
  readonly chain: (table: string, chain: string) => ChainText | undefined
  /** The chains of a table. */
  readonly chains: (table: string) => readonly { readonly chain: string; readonly rules: readonly OwnedRule[] }[]
}

interface ChainText {
  readonly rules: readonly OwnedRule[]
  /** ACCEPT where the text does not say. */
  readonly policy: string
}

/** Throws a TraceError for what is more than one save. */
export function ruleTablesOf(tables: readonly OwnedTable[]): RuleTables {
  const byTable = new Map<string, ReadonlyMap<string, ChainText>>()
  for (const { table, chains } of tables) {
    if (byTable.has(table)) {
      throw new TraceError('TABLE_TWICE', `the table ${table} is there twice: give what one iptables-save printed`)
    }
    byTable.set(table, new Map(chains.map(({ chain, policy = 'ACCEPT', rules }) => [chain, { rules, policy }])))
  }
  return {
    has: (table) => byTable.has(table),
    chain: (table, chain) => byTable.get(table)?.get(chain),
    chains: (table) => tables.find((one) => one.table === table)?.chains ?? [],
  }
}

/** A rule of a chain in iptables' words. */
export function toldRule(chain: string, { rule, owner }: OwnedRule): TracedRule {
  const comment = commentOf(rule)
  const service = owner === undefined ? serviceNamedIn(comment) : serviceOfOwner(owner)
  return {
    line: `-A ${chain} ${formatRule(rule)}`.trimEnd(),
    match: matchText(rule),
    comment,
    ...(service && { service }),
    kind: [...Object.keys(rule).toSorted(), ...rule.matches.map(({ type }) => type)].join(' '),
  }
}

/** A rule's conditions, short: without comments, counters, its target, and what goes without saying. */
function matchText({ target: _, matches, ...general }: Rule): string {
  const words = [formatRule({ ...general, matches: [] }), ...matches.map(textOfMatch)].filter((text) => text !== '')
  return words.length === 0 ? 'any packet' : words.join(' ')
}

function textOfMatch(match: Match): string {
  switch (match.type) {
    case 'comment':
    case 'nfacct':
      return ''
    case 'tcp':
    case 'udp':
    case 'sctp':
      // The protocol stands before it.
      return formatRule({ matches: [match] }).replace(/^-m \w+ ?/, '')
    case 'statistic-random':
      return `-m statistic${match.negated ? ' !' : ''} --probability ${(match.chances / 2 ** 31).toFixed(3)}`
    case 'recent':
      return formatRule({ matches: [match] }).replaceAll(
        / --(?:reap|rsource|mask (?:255\.255\.255\.255|(?:ffff:?){8}))/g,
        '',
      )
    case 'mark':
    case 'conntrack':
    case 'statistic-nth':
    case 'addrtype':
    case 'physdev':
    case 'other':
      return formatRule({ matches: [match] })
  }
}

export const commentOf = ({ matches }: Rule): string =>
  matches.flatMap((match) => (match.type === 'comment' ? [match.comment] : [])).join(', ')

/** The service port that a comment of kube-proxy names: `shop/checkout:http`. */
function serviceNamedIn(comment: string): RuleService | undefined {
  const name = /(?<=^|\s)[\w.-]+\/[\w.-]+(?::[\w-]+)?/.exec(comment)?.[0]
  return name === undefined ? undefined : { name, by: 'comment' }
}

const serviceOfOwner = (owner: NonNullable<OwnedRule['owner']>): RuleService => ({
  name: displayName(parseServicePortName(owner)),
  by: 'plan',
})

/** One option of a match or target that rules keep word by word. */
export interface GivenOption {
  readonly negated: boolean
  readonly values: readonly string[]
}

export type Options = ReadonlyMap<string, GivenOption>

/** The options among the words of a match or target, without quotes. Undefined: one is there twice, or the words begin with none. */
export function optionsOf(words: readonly string[]): Options | undefined {
  const options = new Map<string, { readonly negated: boolean; readonly values: string[] }>()
  let isDenied = false
  let values: string[] | undefined
  for (const spelling of words) {
    if (spelling === '!') isDenied = true
    else if (spelling.startsWith('--')) {
      if (options.has(spelling)) return undefined
      values = []
      options.set(spelling, { negated: isDenied, values })
      isDenied = false
    } else if (values === undefined) return undefined
    else {
      // `--state ! NEW`, as older versions have it.
      const name = [...options.keys()].at(-1) ?? ''
      if (isDenied) options.set(name, { negated: true, values })
      isDenied = false
      values.push(unquoted(spelling))
    }
  }
  return isDenied ? undefined : options
}

const unquoted = (word: string): string =>
  word.startsWith('"') && word.endsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word

/** `0x4000/0x4000`, `5`: without a mask, all bits count. Undefined: none. */
export function maskedNumberOf(text: string): { readonly value: number; readonly mask: number } | undefined {
  const [value = '', mask = '0xffffffff', ...rest] = text.split('/')
  if (rest.length > 0 || ![value, mask].every((part) => /^(?:0x[\da-f]{1,8}|\d{1,10})$/i.test(part))) return undefined
  return { value: Number(value), mask: Number(mask) }
}
