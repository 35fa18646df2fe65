import type { Rule } from 'node-iptables'
import type { OwnedRule } from '../render/owned-rules.js'
import type { BlamedRule, GoneRule, RuleChange } from './rule-change.js'
import { identityOf, oddsOf } from './rule-identity.js'

/** The rules of one service port, or of none, each with what made it, from one moment to the next. */
export interface BlameEntries {
  /** Puts rules in the place of those before, and gives those that are no longer there. */
  replace(rules: Iterable<OwnedRule>, change: RuleChange): readonly GoneRule[]
  /** Of a rule of the last `replace`. */
  entryOf(rule: Rule): Pick<BlamedRule, 'made' | 'changed'> | undefined
  /** Forgets all, as if there had been none. */
  clear(): void
}

export function createBlameEntries(): BlameEntries {
  let entries = new Map<string, BlamedRule>()
  let byRule = new Map<Rule, BlamedRule>()
  return {
    replace(rules, change) {
      const before = entries
      entries = new Map()
      byRule = new Map()
      for (const owned of rules) {
        const key = freeKey(entries, `${owned.table} ${owned.chain} ${identityOf(owned.rule)}`)
        const blamed = { ...owned, ...blameOf(owned.rule, before.get(key), change) }
        entries.set(key, blamed)
        byRule.set(owned.rule, blamed)
        before.delete(key)
      }
      return [...before.values()].map((gone) => ({ ...gone, removed: change }))
    },
    entryOf: (rule) => byRule.get(rule),
    clear() {
      entries.clear()
      byRule.clear()
    },
  }
}

function blameOf(rule: Rule, before: BlamedRule | undefined, change: RuleChange): Pick<BlamedRule, 'made' | 'changed'> {
  if (before === undefined) return { made: change, changed: change }
  const isAsBefore = oddsOf(before.rule)?.chances === oddsOf(rule)?.chances
  return { made: before.made, changed: isAsBefore ? before.changed : change }
}

/** A chain may hold one rule twice: the second is told from the first. */
function freeKey(taken: ReadonlyMap<string, unknown>, identity: string): string {
  let key = identity
  for (let count = 2; taken.has(key); count++) key = `${identity} #${count}`
  return key
}
