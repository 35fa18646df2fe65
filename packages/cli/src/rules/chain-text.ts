import type { RuleItem } from '@pointsman/core'
import type { Style } from '../output/colour.js'

export interface ChainView {
  readonly table: string
  readonly chain: string
  /** What it is there for; empty where its name says it. */
  readonly meaning: string
  readonly rules: readonly RuleItem[]
}

/** A chain: its name and what it means, then its rules as a listing prints them. */
export function chainText({ table, chain, meaning, rules }: ChainView, style: Style): readonly string[] {
  const head = `${style.dim(table)} ${style.bold(chain)}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`
  return [head, ...rules.map(({ line }) => `  ${line}`)]
}
