import type { ServicePortName } from '@pointsman/core'
import { formatRule, type Match, type Rule } from 'node-iptables'
import { chainOf, isOurChain } from '../chain-owner.js'
import { OwnedRule } from '../render/owned-rules.js'
import { CHAINS, isEndpointChain, isServiceChain } from '../ruleset/layout.js'
import type { FindingType, TableFinding } from './finding.js'

export interface ExpectedRule {
  readonly rule: Rule
  readonly meaning: string
  readonly owner: ServicePortName | undefined
  /** Of a shared chain: one that has to come after all others. */
  readonly isLast: boolean
}

export interface FoundRule {
  readonly rule: Rule
  readonly meaning: string
}

/** Large clusters leave comments out of rules in KUBE-SEP- chains, and of those that lead to them. */
export const meaningIn = (chain: string, rule: Rule): string =>
  meaningOf(rule, {
    comments: ![chain, chainOf(rule) ?? ''].some(isEndpointChain),
  })

interface Compared {
  readonly expected?: ExpectedRule
  readonly found?: FoundRule
  /** How often the rule is there; absent: once. */
  readonly count?: number
  /** Whose the chain is, where it is one service port's. */
  readonly owner?: ServicePortName | undefined
}

export function findingOf(
  type: FindingType,
  { table, chain }: Pick<TableFinding, 'table' | 'chain'>,
  { expected, found, count, owner = expected?.owner }: Compared,
): TableFinding {
  const claims =
    owner === undefined && expected === undefined && found !== undefined ? claimOf([found.rule]) : undefined
  return {
    type,
    table,
    chain,
    ...(owner !== undefined && { owner }),
    ...(claims !== undefined && { claims }),
    ...(count !== undefined && { count }),
    ...(expected !== undefined && {
      expected: [new OwnedRule({ table, chain, rule: expected.rule, owner: expected.owner })],
    }),
    ...(found !== undefined && { found: [foundRule({ table, chain }, found.rule)] }),
  }
}

/** A rule that is there, whichever program made it. */
export const foundRule = ({ table, chain }: Pick<TableFinding, 'table' | 'chain'>, rule: Rule): OwnedRule =>
  new OwnedRule({ table, chain, rule, owner: undefined })

/** Rules of a proxy lead to its chains, or say in their comment whose they are. */
export function extraType(rule: Rule): 'LEFT_OVER_RULE' | 'FOREIGN_RULE' {
  const chain = chainOf(rule)
  const isProxys = (chain !== undefined && isOurChain(chain)) || claimOf([rule]) !== undefined
  return isProxys ? 'LEFT_OVER_RULE' : 'FOREIGN_RULE'
}

/** Which service port the first comment that names one names: `namespace/name:port`. Those of KUBE-XLB- name it late. */
export function claimOf(rules: readonly Rule[]): string | undefined {
  for (const rule of rules) {
    const [, name] = /(?:^|^\S.* for )([^ /]+\/[^ :]+(?::[^ ]+)?)(?: |$)/.exec(commentOf(rule) ?? '') ?? []
    if (name !== undefined) return name
  }
  return undefined
}

const commentOf = ({ matches }: Rule): string | undefined => {
  const match = matches.find(({ type }) => type === 'comment')
  return match?.type === 'comment' ? match.comment : undefined
}

/**
 * What a rule does to packets, as text: two rules are equal when their meanings are. The order of matches does not count,
 * nor do nfacct counters, which are there where the kernel has them, nor a match of a protocol that asks for no port: other
 * versions leave it out.
 */
export function meaningOf(rule: Rule, { comments }: { readonly comments: boolean } = { comments: true }): string {
  const counted = rule.matches.filter((match) => says(match) && (comments || match.type !== 'comment'))
  const sorted = counted.map((match) => formatRule({ matches: [match] })).toSorted()
  return `${formatRule({ ...rule, matches: [] })} | ${sorted.join(' ')}`
}

/** Whether a rule is there for its counter alone: without it, packets fare the same. */
export const isForCounting = ({ matches }: Rule): boolean =>
  matches.some((match) => match.type === 'nfacct' && match.name === LOCALHOST)

const LOCALHOST = 'localhost_nps_accepted_pkts'

function says(match: Match): boolean {
  if (match.type === 'nfacct') return false
  if (match.type !== 'tcp' && match.type !== 'udp' && match.type !== 'sctp') return true
  return match.source !== undefined || match.destination !== undefined || match.flags !== undefined
}

/** How the rules of one chain differ from what they should be, where order counts. */
interface ChainDifference<E, F> {
  readonly missing: readonly E[]
  readonly extra: readonly F[]
  readonly moved: readonly (readonly [E, F])[]
  readonly duplicated: readonly (readonly [E, F])[]
  /** The one stands where the other should. */
  readonly changed: readonly (readonly [E, F])[]
}

/** One finding for all repetitions of a rule, with how often it is there. */
export function duplicateFindings(
  place: Pick<TableFinding, 'table' | 'chain'>,
  duplicated: readonly (readonly [ExpectedRule, FoundRule])[],
): readonly TableFinding[] {
  const rules = new Map<string, { readonly pair: readonly [ExpectedRule, FoundRule]; count: number }>()
  for (const pair of duplicated) {
    const known = rules.get(pair[1].meaning) ?? { pair, count: 1 }
    known.count += 1
    rules.set(pair[1].meaning, known)
  }
  return [...rules.values()].map(({ pair: [expected, found], count }) =>
    findingOf('DUPLICATE_RULE', place, { expected, found, count }),
  )
}

interface WithMeaning {
  readonly meaning: string
}

/**
 * Compares two lists: what both have in the same order stays; of the rest, what both have was moved, what the second has once
 * more was duplicated, and what stands between the same neighbours was changed.
 */
export function compareOrdered<E extends WithMeaning, F extends WithMeaning>(
  expected: readonly E[],
  found: readonly F[],
): ChainDifference<E, F> {
  const pairs = longestCommon(expected, found)
  const [keptE, keptF] = [new Set(pairs.map(([e]) => e)), new Set(pairs.map(([, f]) => f))]
  const lostE = expected.flatMap((item, at) => (keptE.has(at) ? [] : [{ item, gap: gapOf(pairs, at, 0) }]))
  const lostF = found.flatMap((item, at) => (keptF.has(at) ? [] : [{ item, gap: gapOf(pairs, at, 1) }]))

  const moved: [E, F][] = []
  const changed: [E, F][] = []
  const duplicated: [E, F][] = []
  const extra: F[] = []
  const restE = [...lostE]
  const later: typeof lostF = []
  for (const lost of lostF) {
    const at = restE.findIndex(({ item }) => item.meaning === lost.item.meaning)
    const [match] = at < 0 ? [] : restE.splice(at, 1)
    if (match === undefined) later.push(lost)
    else moved.push([match.item, lost.item])
  }
  for (const lost of later) {
    const original = expected.find(({ meaning }) => meaning === lost.item.meaning)
    if (original !== undefined) {
      duplicated.push([original, lost.item])
      continue
    }
    const at = restE.findIndex(({ gap }) => gap === lost.gap)
    const [match] = at < 0 ? [] : restE.splice(at, 1)
    if (match === undefined) extra.push(lost.item)
    else changed.push([match.item, lost.item])
  }
  return { missing: restE.map(({ item }) => item), extra, moved, duplicated, changed }
}

/** How many of the common ones stand before a place: the same number, the same gap. */
const gapOf = (pairs: readonly (readonly [number, number])[], at: number, side: 0 | 1): number =>
  pairs.filter((pair) => pair[side] < at).length

/** Index pairs of a longest common subsequence. Equal beginnings and ends, which is nearly all, cost nothing. */
function longestCommon(a: readonly WithMeaning[], b: readonly WithMeaning[]): readonly (readonly [number, number])[] {
  const same = (i: number, j: number): boolean => a[i]?.meaning === b[j]?.meaning
  let start = 0
  while (start < a.length && start < b.length && same(start, start)) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && same(a.length - 1 - end, b.length - 1 - end)) end++
  const [rows, columns] = [a.length - end - start, b.length - end - start]
  const head = Array.from({ length: start }, (_, at): [number, number] => [at, at])
  const tail = Array.from({ length: end }, (_, at): [number, number] => [a.length - end + at, b.length - end + at])
  if (rows * columns > MAX_CELLS) return [...head, ...tail]

  const lengths = Array.from({ length: rows + 1 }, () => new Uint32Array(columns + 1))
  const cell = (i: number, j: number): number => lengths[i]?.[j] ?? 0
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const row = lengths[i]
      if (row === undefined) continue
      row[j] = same(start + i, start + j) ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1))
    }
  }
  const middle: [number, number][] = []
  for (let i = 0, j = 0; i < rows && j < columns;) {
    if (same(start + i, start + j)) middle.push([start + i++, start + j++])
    else if (cell(i + 1, j) >= cell(i, j + 1)) i++
    else j++
  }
  return [...head, ...middle, ...tail]
}

// A chain of a service with thousands of endpoints, all changed: what is common in the middle is then told as moved.
const MAX_CELLS = 4_000_000

interface SharedChain {
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
  const duplicated: (readonly [ExpectedRule, FoundRule])[] = []
  const findings: TableFinding[] = []
  const places = new Map<ExpectedRule, number>()
  for (const [at, one] of found.entries()) {
    const match = left.get(one.meaning)?.shift()
    const original = known.get(one.meaning)
    if (match !== undefined) places.set(match, at)
    else if (original !== undefined) duplicated.push([original, one])
    else extra.push(one)
  }
  findings.push(...duplicateFindings(shared, duplicated))
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
  return [...late, ...swapped, ...tooLate(wanted, places)].map((one) =>
    findingOf('OUT_OF_ORDER', { table, chain }, { expected: one }),
  )
}

/** In layout `classic`: rules that ask for masquerading and stand behind one that takes the same packets to a service port. */
function tooLate(wanted: SharedChain['wanted'], places: ReadonlyMap<ExpectedRule, number>): readonly ExpectedRule[] {
  const earliest = new Map<string, number>()
  for (const one of wanted) {
    const at = places.get(one)
    if (at === undefined || one.owner === undefined || asksForMasquerading(one.rule)) continue
    const front = frontOf(one)
    earliest.set(front, Math.min(earliest.get(front) ?? at, at))
  }
  return wanted.filter((one) => {
    const at = places.get(one)
    return at !== undefined && asksForMasquerading(one.rule) && at > (earliest.get(frontOf(one)) ?? at)
  })
}

/** Whether the order of rules of one service port in a chain that all share counts. */
export const asksForMasquerading = (rule: Rule): boolean => chainOf(rule) === CHAINS.markMasq

const frontOf = ({ owner, rule: { destination, protocol, matches } }: ExpectedRule): string =>
  `${owner ?? ''} ${formatRule({
    ...(destination && { destination }),
    ...(protocol && { protocol }),
    matches: matches.filter(({ type }) => type === 'tcp' || type === 'udp' || type === 'sctp'),
  })}`

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
