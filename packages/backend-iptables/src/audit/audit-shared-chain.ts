import { formatRule, type Rule } from 'node-iptables'
import { chainOf } from '../adapter/ownership.js'
import { isServiceChain } from '../ruleset/chain-names.js'
import { commentOf, type ExpectedRule, extraType, findingOf, type FoundRule } from './compared-rule.js'
import type { TableFinding } from './finding.js'

export interface SharedChain {
  readonly table: string
  readonly chain: string
  readonly wanted: readonly ExpectedRule[]
  readonly found: readonly FoundRule[]
}

/** A chain that service ports share: their rules may come in any order, and those that must be last are the end. */
export function auditSharedChain(shared: SharedChain): readonly TableFinding[] {
  const { wanted, found } = shared
  const left = new Map<string, ExpectedRule[]>()
  for (const one of wanted) {
    const same = left.get(one.meaning)
    if (same === undefined) left.set(one.meaning, [one])
    else same.push(one)
  }
  const known = new Map(wanted.map((one) => [one.meaning, one]))
  const extra: FoundRule[] = []
  const findings: TableFinding[] = []
  const places = new Map<ExpectedRule, number>()
  for (const [at, one] of found.entries()) {
    const match = left.get(one.meaning)?.shift()
    const original = known.get(one.meaning)
    if (match !== undefined) places.set(match, at)
    else if (original !== undefined)
      findings.push(findingOf('DUPLICATE_RULE', shared, { expected: original, found: one }))
    else extra.push(one)
  }
  const missing = otherForms([...left.values()].flat())
  for (const one of extra) {
    const match = missing.take(one.rule)
    if (match === undefined) findings.push(findingOf(extraType(one.rule), shared, { found: one }))
    else findings.push(findingOf('CHANGED_RULE', shared, { expected: match, found: one }))
  }
  return [
    ...findings,
    ...missing.rest().map((one) => findingOf('MISSING_RULE', shared, { expected: one })),
    ...outOfOrder(shared, places),
  ]
}

function outOfOrder(
  { table, chain, wanted, found }: SharedChain,
  places: ReadonlyMap<ExpectedRule, number>,
): readonly TableFinding[] {
  let firstLast = found.length
  for (const one of wanted) if (one.isLast) firstLast = Math.min(firstLast, places.get(one) ?? found.length)
  const late = wanted.filter((one) => !one.isLast && (places.get(one) ?? -1) > firstLast)
  const lasts = wanted.filter((one) => one.isLast && places.has(one))
  const swapped = lasts.filter((one, index) => {
    const before = lasts[index - 1]
    return before !== undefined && (places.get(one) ?? 0) < (places.get(before) ?? 0)
  })
  return [...late, ...swapped].map((one) => findingOf('OUT_OF_ORDER', { table, chain }, { expected: one }))
}

/** Rules that are missing, of which others may be an altered form: the same comment, the same packets, or the same end. */
interface OtherForms {
  /** The one that the rule is an altered form of, which is then no longer among them. */
  readonly take: (rule: Rule) => ExpectedRule | undefined
  readonly rest: () => readonly ExpectedRule[]
}

function otherForms(missing: readonly ExpectedRule[]): OtherForms {
  const byLikeness = new Map<string, Set<ExpectedRule>>()
  const rest = new Set(missing)
  for (const one of missing) {
    for (const likeness of likenesses(one.rule)) {
      const alike = byLikeness.get(likeness)
      if (alike === undefined) byLikeness.set(likeness, new Set([one]))
      else alike.add(one)
    }
  }
  return {
    take(rule) {
      for (const likeness of likenesses(rule)) {
        const [match] = byLikeness.get(likeness) ?? []
        if (match === undefined) continue
        rest.delete(match)
        for (const other of likenesses(match.rule)) byLikeness.get(other)?.delete(match)
        return match
      }
      return undefined
    },
    rest: () => [...rest],
  }
}

/** What an altered rule may still have of what it was, the surest first. */
function likenesses(rule: Rule): readonly string[] {
  const { matches, target: _, ...conditions } = rule
  const comment = commentOf(rule)
  const chain = chainOf(rule)
  const packets = formatRule({
    ...conditions,
    matches: matches.filter(({ type }) => type !== 'comment' && type !== 'nfacct'),
  })
  return [
    ...(comment === undefined ? [] : [`comment ${comment} of ${packets}`]),
    `packets ${packets}`,
    ...(comment === undefined ? [] : [`comment ${comment}`]),
    ...(chain === undefined || !isServiceChain(chain) ? [] : [`end ${chain} ${rule.protocol?.name ?? ''}`]),
  ]
}
