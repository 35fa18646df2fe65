import { isEqual, type RuleItem, type ServicePortName } from '@pointsman/core'
import { formatRule, type Match, type Rule, saveLinesOf, STATISTIC_CHANCES } from 'node-iptables'
import { type Ruleset, type Table, TABLES } from '../ruleset/ruleset.js'
import type { OwnedChain, OwnedTable } from '../trace/rule-tables.js'

/** A rule in its place, with the service port that it is for. Its texts are made each time they are asked for. */
export class OwnedRule implements RuleItem {
  readonly table: string
  readonly chain: string
  readonly rule: Rule
  readonly owner: ServicePortName | undefined

  constructor({ table, chain, rule, owner }: Pick<OwnedRule, 'table' | 'chain' | 'rule' | 'owner'>) {
    this.table = table
    this.chain = chain
    this.rule = rule
    this.owner = owner
  }

  get text(): string {
    return formatRule(this.rule)
  }

  get line(): string {
    return `-A ${this.chain} ${this.text}`.trimEnd()
  }

  get identity(): string {
    const { text } = this
    return this.share === undefined && !text.includes('"Balancing rule ')
      ? text
      : formatRule(withoutPlace(without(this.rule, isRandom)))
  }

  get bareIdentity(): string {
    return formatRule(without(this.rule, (match) => isRandom(match) || match.type === 'comment'))
  }

  get share(): number | undefined {
    const random = this.rule.matches.find(isRandom)
    return random && random.chances / STATISTIC_CHANCES
  }

  equals(other: RuleItem): boolean {
    return other instanceof OwnedRule ? isEqual(this.rule, other.rule) : this.line === other.line
  }
}

const without = (rule: Rule, isLeftOut: (match: Match) => boolean): Rule => ({
  ...rule,
  matches: rule.matches.filter((match) => !isLeftOut(match)),
})

/** KUBE-XLB- numbers the rules that spread, which says no more than their places. */
const withoutPlace = (rule: Rule): Rule => ({
  ...rule,
  matches: rule.matches.map((match) =>
    match.type === 'comment'
      ? { ...match, comment: match.comment.replace(/^Balancing rule \d+ for /, 'Balancing rule for ') }
      : match,
  ),
})

const isRandom = (match: Match): match is Extract<Match, { readonly type: 'statistic-random' }> =>
  match.type === 'statistic-random'

/** Every rule with the service port that it is for, in the order in which a save has them. */
export function* ownedRules(ruleset: Ruleset): Generator<OwnedRule, void, undefined> {
  for (const table of TABLES) {
    for (const { table: of, chain, rule } of ruleset.base.jumps) {
      if (of === table) yield new OwnedRule({ table, chain, rule, owner: undefined })
    }
    for (const [chain, rules] of ownedChains(ruleset, table)) {
      for (const { rule, owner } of rules) yield new OwnedRule({ table, chain, rule, owner })
    }
  }
}

type ChainRule = Pick<OwnedRule, 'rule' | 'owner'>

/** The chains of ours in one table with every rule's owner, by the chains' names. */
function ownedChains({ base, services }: Ruleset, table: Table): Iterable<readonly [string, readonly ChainRule[]]> {
  const chains = new Map<string, ChainRule[]>()
  const append = (chain: string, rules: readonly Rule[], owner?: ServicePortName): void => {
    const found = chains.get(chain) ?? []
    for (const rule of rules) found.push({ rule, owner })
    chains.set(chain, found)
  }
  const baseChains = base.chains.filter((chain) => chain.table === table)
  for (const { chain, first } of baseChains) append(chain, first)
  for (const { owner, chains: own, entries } of services) {
    for (const part of [own, entries]) {
      for (const { table: of, chain, rules } of part) if (of === table) append(chain, rules, owner)
    }
  }
  for (const { chain, last } of baseChains) append(chain, last)
  return [...chains].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * The tables that a namespace has which holds these rules and no others, as iptables-save orders them, with whose each rule is:
 * what a save is compared with.
 */
export function savedTablesOf(ruleset: Ruleset): readonly OwnedTable[] {
  return TABLES.map((table) => ({
    table,
    chains: [
      ...BUILT_IN[table].map((chain): OwnedChain => ({
        chain,
        policy: 'ACCEPT',
        counters: NONE,
        rules: jumps(ruleset, table, chain),
      })),
      ...[...ownedChains(ruleset, table)].map(([chain, rules]): OwnedChain => ({ chain, counters: NONE, rules })),
    ],
  }))
}

/** In the kernel's order, which is a packet's. */
const BUILT_IN: { readonly [table in Table]: readonly string[] } = {
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
}

const jumps = ({ base }: Ruleset, table: Table, chain: string): OwnedChain['rules'] =>
  base.jumps.filter((jump) => jump.table === table && jump.chain === chain).map(({ rule }) => ({ rule }))

/** A save prints chains with counters, and rules without. */
const NONE = { packets: '0', bytes: '0' }

/**
 * The rules as iptables-save would print them in a namespace that has no others, line by line without line ends: sorted,
 * in its spelling, all counters 0. iptables-restore takes it.
 */
export const renderSave = (ruleset: Ruleset): Generator<string, void, undefined> => saveLinesOf(savedTablesOf(ruleset))
