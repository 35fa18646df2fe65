import { formatRule } from 'node-iptables'
import type { BaseRules, ChainRules, JumpRule, ServiceRules, Table } from '../ruleset/ruleset.js'

/** One chain of one table: `nat KUBE-SVC-…`. */
export type ChainKey = `${Table} ${string}`

export const chainKey = (table: Table, chain: string): ChainKey => `${table} ${chain}`
export const tableOf = (key: ChainKey): Table => key.slice(0, key.indexOf(' ')) as Table
export const chainOf = (key: ChainKey): string => key.slice(key.indexOf(' ') + 1)

/** Rules as iptables-save spells them after `-A CHAIN `, one a line. No rule is empty: one that says nothing is no rule. */
export type RuleLines = string

export const linesOf = (rules: RuleLines | undefined): readonly string[] =>
  rules === undefined || rules === '' ? [] : rules.split('\n')

/** The rules of one service port as text: all that has to be kept to know what a later change of it changes. */
export interface RenderedService {
  readonly chains: readonly (readonly [ChainKey, RuleLines])[]
  /** Its rules in the chains that all service ports share. */
  readonly entries: readonly (readonly [ChainKey, RuleLines])[]
}

export const renderService = ({ chains, entries }: ServiceRules): RenderedService => ({
  chains: chains.map(rendered),
  entries: entries.map(rendered),
})

/** What is the same whatever services there are, as text. */
export interface RenderedBase {
  /** Chains that no service port has rules in. */
  readonly fixed: ReadonlyMap<ChainKey, RuleLines>
  /** The end of each chain that service ports share. */
  readonly dispatch: ReadonlyMap<ChainKey, RuleLines>
  /** Chains of kubelet's that have to hold these rules, whatever else they hold. */
  readonly kubelet: ReadonlyMap<ChainKey, RuleLines>
  readonly jumps: readonly JumpRule[]
}

export function renderBase({ chains, jumps }: BaseRules): RenderedBase {
  const base = { fixed: new Map(), dispatch: new Map(), kubelet: new Map(), canary: new Map() } as const
  for (const { table, chain, role, first, last } of chains) {
    const [key, lines] = rendered({ table, chain, rules: [...first, ...last] })
    base[role].set(key, lines)
  }
  return { fixed: new Map([...base.fixed, ...base.canary]), dispatch: base.dispatch, kubelet: base.kubelet, jumps }
}

const rendered = ({ table, chain, rules }: ChainRules): readonly [ChainKey, RuleLines] => [
  chainKey(table, chain),
  rules.map((rule) => formatRule(rule)).join('\n'),
]
