import type { OwnedRule } from '@pointsman/backend-iptables'
import { formatRule } from 'node-iptables'
import type { Style } from '../output/colour.js'

export interface ChainView {
  readonly table: string
  readonly chain: string
  /** What it is there for; empty where its name says it. */
  readonly meaning: string
  readonly rules: readonly Pick<OwnedRule, 'chain' | 'rule'>[]
}

/** A chain: its name and what it means, then its rules as iptables-save prints them. */
export function chainText({ table, chain, meaning, rules }: ChainView, style: Style): readonly string[] {
  const head = `${style.dim(table)} ${style.bold(chain)}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`
  return [head, ...rules.map((rule) => `  ${ruleLine(rule)}`)]
}

/** `-A CHAIN ...`, as iptables-save prints it. */
export const ruleLine = ({ chain, rule }: Pick<OwnedRule, 'chain' | 'rule'>): string =>
  `-A ${chain} ${formatRule(rule)}`.trimEnd()
