import { isEqual } from '@pointsman/core'
import type { OwnedRule } from '../render/owned-rules.js'
import type { BlamedRule, GoneRule, RuleChange } from './rule-change.js'
import { identityOf, oddsOf } from './rule-identity.js'

/** The rules of one service port, or of none, each with what made it, from one moment to the next. */
export interface BlameEntries {
  /** Puts rules in the place of those before, and gives those that are no longer there. */
  replace(rules: Iterable<OwnedRule>, change: RuleChange): readonly GoneRule[]
  /** Those of one chain, in order. */
  ofChain(place: Place): readonly BlamedRule[]
  /** Forgets all, as if there had been none. */
  clear(): void
}

type Place = Pick<OwnedRule, 'table' | 'chain'>

export function createBlameEntries(): BlameEntries {
  let chains: ReadonlyMap<string, ChainEntries> = new Map()
  return {
    replace(rules, change) {
      const before = chains
      chains = new Map([...byChain(rules)].map(([key, chain]) => [key, next(before.get(key), chain, change)]))
      const gone = [...before].flatMap(([key, old]) => goneBetween(old, chains.get(key)))
      return gone.map((rule) => ({ ...rule, removed: change }))
    },
    ofChain: (place) => chains.get(keyOf(place))?.blamed ?? [],
    clear: () => void (chains = new Map()),
  }
}

/** Rules in order, and what tells them from each other: only made where something in the chain changed. */
interface ChainEntries {
  readonly blamed: readonly BlamedRule[]
  readonly identities: readonly string[]
}

function byChain(rules: Iterable<OwnedRule>): ReadonlyMap<string, readonly OwnedRule[]> {
  const chains = new Map<string, OwnedRule[]>()
  for (const owned of rules) {
    const key = keyOf(owned)
    const chain = chains.get(key)
    if (chain === undefined) chains.set(key, [owned])
    else chain.push(owned)
  }
  return chains
}

const keyOf = ({ table, chain }: Place): string => `${table} ${chain}`

function next(before: ChainEntries | undefined, rules: readonly OwnedRule[], change: RuleChange): ChainEntries {
  // Most changes leave most chains as they were, and comparing costs less than putting into words.
  if (before !== undefined && isEqual(rules.map(ruleOf), before.blamed.map(ruleOf))) return before
  const identities = distinct(rules.map(({ rule }) => identityOf(rule)))
  const old = new Map(before?.identities.map((identity, index) => [identity, before.blamed[index]]))
  const blamed = rules.map((owned, index) => ({
    ...owned,
    ...blameOf(owned, old.get(identities[index] ?? ''), change),
  }))
  return { blamed, identities }
}

const ruleOf = ({ rule }: OwnedRule): OwnedRule['rule'] => rule

function blameOf(
  { rule }: OwnedRule,
  before: BlamedRule | undefined,
  change: RuleChange,
): Pick<BlamedRule, 'made' | 'changed'> {
  if (before === undefined) return { made: change, changed: change }
  const isAsBefore = oddsOf(before.rule)?.chances === oddsOf(rule)?.chances
  return { made: before.made, changed: isAsBefore ? before.changed : change }
}

/** A chain may hold one rule twice: the second is told from the first. */
function distinct(identities: readonly string[]): readonly string[] {
  const seen = new Map<string, number>()
  return identities.map((identity) => {
    const count = (seen.get(identity) ?? 0) + 1
    seen.set(identity, count)
    return count === 1 ? identity : `${identity} #${count}`
  })
}

function goneBetween(before: ChainEntries, after: ChainEntries | undefined): readonly BlamedRule[] {
  if (before === after) return []
  const kept = new Set(after?.identities)
  return before.blamed.filter((_, index) => !kept.has(before.identities[index] ?? ''))
}
