import { bothOdds, CERTAIN, IMPOSSIBLE, type Odds, oddsToNumber, sumOfOdds } from '../model/odds.js'
import type {
  End,
  EndOdds,
  Fate,
  FateOdds,
  MissedRule,
  PassedRules,
  Step,
  Supposition,
  TraceCase,
  TracedEndpoint,
} from '../ports/trace.js'
import type { EndedWay } from './hooks.js'
import {
  ALWAYS,
  claimsIn,
  eitherOf,
  implied,
  suppositionOf,
  suppositionsOf,
  type Case,
  type Claim,
  type When,
} from './suppositions.js'
import { withStep, type PartialWay } from './packet-state.js'

/**
 * What becomes of a packet in each case of unknown facts: one case without conditions where that changes nothing. Where there
 * are too many cases to part, one without conditions stands for all, with every end in it, and `isCut`.
 */
export function casesOf(ended: readonly EndedWay[]): { readonly cases: readonly TraceCase[]; readonly isCut: boolean } {
  // Where only chance parts ways, there is one case, and nobody asks for its ends one by one.
  if (ended.every(({ way }) => way.when === ALWAYS))
    return { cases: [{ when: [], fates: fatesOf(ended), endpoints: endpointsOf(ended), ends: [] }], isCut: false }
  const ways = ended.map((one): OpenWay => ({ ...one, open: one.way.when.map((when) => suppositionsOf(when)) }))
  const builder = new TreeBuilder()
  const tree = builder.treeOf(ways)
  if (tree === undefined) return cut(ended)
  const cases: TraceCase[] = []
  const waiting: { readonly tree: Tree; readonly when: TraceCase['when'] }[] = [{ tree, when: [] }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { tree: node, when } = next
    if (node.type === 'leaf') cases.push({ when, ...node.result })
    else
      waiting.push(
        { tree: node.no, when: [...when, suppositionOf({ claim: node.claim, holds: false })] },
        { tree: node.yes, when: [...when, suppositionOf({ claim: node.claim, holds: true })] },
      )
    if (cases.length > MOST_CASES) return cut(ended)
  }
  return { cases, isCut: false }
}

const MOST_CASES = 1000

/** Any of these may be, with odds that nobody has worked out. */
function cut(ended: readonly EndedWay[]): ReturnType<typeof casesOf> {
  const { fates, endpoints, ends } = resultOf(ended)
  const open = { odds: CERTAIN, atLeast: IMPOSSIBLE }
  const all: TraceCase = {
    when: [],
    fates: fates.map((one) => ({ ...one, ...open })),
    endpoints: endpoints.map((one) => ({ ...one, ...open })),
    ends: ends.map(({ end }) => ({ end, odds: CERTAIN })),
  }
  return { cases: [all], isCut: true }
}

/** What the cases are parted by: of one that stands for all, all that any way supposes. */
export function dependencesOf(
  cases: readonly TraceCase[],
  ended: readonly EndedWay[],
): readonly Pick<Supposition, 'code' | 'text'>[] {
  const isCut = cases.every(({ when }) => when.length === 0)
  const all = isCut ? claimsIn(ended.flatMap(({ way }) => way.when)) : cases.flatMap(({ when }) => when)
  return [...new Map(all.map(({ code, text }) => [text, { code, text }])).values()]
}

type Literal = Pick<Case, 'claim' | 'holds'>

interface OpenWay extends EndedWay {
  /** Of each case in which the way is taken, what has not been decided yet. */
  readonly open: readonly (readonly Literal[])[]
}

type Result = Omit<TraceCase, 'when'>

type Tree =
  | { readonly type: 'leaf'; readonly id: number; readonly result: Result }
  | { readonly type: 'claim'; readonly id: number; readonly claim: Claim; readonly yes: Tree; readonly no: Tree }

/** Claims in the order in which rules ask about them; one that changes nothing is left out. */
class TreeBuilder {
  readonly #ids = new Map<string, number>()
  #work = 0

  /** Undefined: it would be too large. */
  treeOf(ways: readonly OpenWay[], depth = 0): Tree | undefined {
    for (const { open } of ways) for (const literals of open) this.#work += 1 + literals.length
    if (this.#work > MOST_WORK || depth > MOST_DEPTH) return undefined
    const claim = ways.flatMap(({ open }) => open.flatMap(([literal]) => literal?.claim ?? []))[0]
    if (claim === undefined) {
      const result = resultOf(ways)
      return { type: 'leaf', id: this.#idOf(keyOf(result)), result }
    }
    const yes = this.treeOf(decided(ways, { claim, holds: true }), depth + 1)
    const no = yes && this.treeOf(decided(ways, { claim, holds: false }), depth + 1)
    if (yes === undefined || no === undefined) return undefined
    if (yes.id === no.id) return yes
    const id = this.#idOf(JSON.stringify([claim.subject, claim.low, claim.high, yes.id, no.id]))
    return { type: 'claim', id, claim, yes, no }
  }

  #idOf(key: string): number {
    const id = this.#ids.get(key) ?? this.#ids.size
    this.#ids.set(key, id)
    return id
  }
}

const MOST_WORK = 5_000_000
const MOST_DEPTH = 2000

/** The ways that are left where a claim holds, or does not. */
function decided(ways: readonly OpenWay[], literal: Literal): readonly OpenWay[] {
  return ways.flatMap((way) => {
    const open = way.open.flatMap((literals) => {
      const left: Literal[] = []
      for (const one of literals) {
        const truth = one.claim.subject === literal.claim.subject ? implied(literal, one.claim) : undefined
        if (truth === undefined) left.push(one)
        else if (truth !== one.holds) return []
      }
      return [left]
    })
    return open.length === 0 ? [] : [{ ...way, open }]
  })
}

function resultOf(ways: readonly EndedWay[]): Result {
  const ends = groupsOf(ways, ({ end }) => endKey(end)).flatMap(([, [first, ...others]]): readonly EndOdds[] =>
    first === undefined ? [] : [{ end: first.end, odds: oddsOf([first, ...others]) }],
  )
  return { fates: fatesOf(ways), endpoints: endpointsOf(ways), ends: likeliestFirst(ends) }
}

const fatesOf = (ways: readonly EndedWay[]): readonly FateOdds[] =>
  likeliestFirst(
    groupsOf(ways, ({ end }) => end.fate).map(([fate, group]): FateOdds => ({
      fate: fate as Fate,
      odds: oddsOf(group),
    })),
  )

/** Exact odds of many choices are long numbers: each is looked at once. */
const likeliestFirst = <T extends { readonly odds: Odds }>(all: readonly T[]): readonly T[] =>
  all
    .map((one) => ({ one, number: oddsToNumber(one.odds) }))
    .toSorted((a, b) => b.number - a.number)
    .map(({ one }) => one)

/** Whose address a packet has that reaches no endpoint is no matter. */
function endKey(end: End): string {
  switch (end.fate) {
    case 'no-service':
      return JSON.stringify([end.fate, end.address, end.port])
    case 'depends':
      return JSON.stringify([end.fate, end.on, end.address, end.port])
    case 'endpoints':
    case 'dropped':
    case 'rejected':
      return JSON.stringify(end)
  }
}

function endpointsOf(ways: readonly EndedWay[]): readonly TracedEndpoint[] {
  const arrived = ways.flatMap(({ way, end }) => (end.fate === 'endpoints' ? [{ way, end }] : []))
  return groupsOf(arrived, ({ end }) => endpointId(end))
    .flatMap(([, group]): readonly TracedEndpoint[] => {
      const [first] = group
      if (first === undefined) return []
      const { address, port, source } = first.end
      return [{ address, port, source, odds: oddsOf(group) }]
    })
    .toSorted(byPlace)
}

type Arrival = Extract<End, { readonly fate: 'endpoints' | 'no-service' }>

const endpointId = ({ address, port, source }: Omit<Arrival, 'fate'>): string =>
  [address, port, source.rewritten, source.address].join(' ')

function byPlace(a: TracedEndpoint, b: TracedEndpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1
  return a.port - b.port || (a.source.rewritten < b.source.rewritten ? -1 : 1)
}

const oddsOf = (ways: readonly Pick<EndedWay, 'way'>[]): Odds => sumOfOdds(ways.map(({ way }) => way.odds))

/** Every fate of any case, with the most and the least odds that it has. */
export function fatesOfCases(cases: readonly TraceCase[]): readonly FateOdds[] {
  const ranges = rangesOf(
    cases.map(({ fates }) => fates),
    ({ fate }) => fate,
  )
  return likeliestFirst(ranges)
}

/** Every endpoint of any case, with the most and the least odds of getting there. */
export const endpointsOfCases = (cases: readonly TraceCase[]): readonly TracedEndpoint[] =>
  rangesOf(
    cases.map(({ endpoints }) => endpoints),
    endpointId,
  ).toSorted(byPlace)

function rangesOf<T extends { readonly odds: Odds; readonly atLeast?: Odds | undefined }>(
  lists: readonly (readonly T[])[],
  keyOf: (one: T) => string,
): readonly T[] {
  const groups = groupsOf(lists.flat(), keyOf)
  return groups.flatMap(([, group]): readonly T[] => {
    const sorted = likeliestFirst(group)
    const [most] = sorted
    if (most === undefined) return []
    const least = group.length < lists.length ? IMPOSSIBLE : (sorted.at(-1)?.odds ?? most.odds)
    return [oddsToNumber(least) === oddsToNumber(most.odds) ? most : { ...most, atLeast: least }]
  })
}

const keyOf = ({ ends }: Result): string =>
  ends
    .map(({ end, odds }) => `${endKey(end)} ${oddsToNumber(odds)}`)
    .toSorted()
    .join('\n')

function groupsOf<T>(all: readonly T[], keyOf: (one: T) => string): readonly (readonly [string, readonly T[]])[] {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const group = groups.get(keyOf(one))
    if (group === undefined) groups.set(keyOf(one), [one])
    else group.push(one)
  }
  return [...groups]
}

/**
 * Ways that came to the same in different cases of unknown facts, as one. Those that chance parted stay: the odds of each are
 * an object of its own.
 */
export function joined<T extends { readonly way: PartialWay; readonly verdict?: unknown }>(
  all: readonly T[],
  { table, chain, depth }: Pick<PassedRules, 'table' | 'chain' | 'depth'>,
): readonly T[] {
  if (all.length < 2 || all.every(({ way }) => way.when === ALWAYS)) return all
  const oddsNumbers = new Map<Odds, number>()
  const groups = new Map<string, { readonly first: T; when: When; count: number }>()
  for (const one of all) {
    const { way, verdict } = one
    const number = oddsNumbers.get(way.odds) ?? oddsNumbers.size
    oddsNumbers.set(way.odds, number)
    const key = `${number} ${JSON.stringify([way.packet, verdict])}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { first: one, when: way.when, count: 1 })
    else {
      group.when = eitherOf(group.when, way.when)
      group.count += 1
    }
  }
  return [...groups.values()].map(({ first, when, count }) => {
    if (count === 1) return first
    const way = withStep({ ...first.way, when }, { type: 'joined', table, chain, depth })
    return { ...first, way }
  })
}

/** The way with the run as a step of it. */
export const flushed = (way: PartialWay, run: PassedRun | undefined, place: RunPlace): PartialWay =>
  run === undefined ? way : withStep(way, passedStep(run, place))

type RunPlace = Pick<PassedRules, 'table' | 'chain' | 'depth'>

/** Rules in a row that did not match, while they are being passed. */
export interface PassedRun {
  readonly first: number
  readonly last: number
  readonly missed: MissedList | undefined
  readonly odds: Odds
}

interface MissedList {
  readonly rule: MissedRule
  readonly before: MissedList | undefined
}

/** The run with one rule more: what is kept of it, and the odds of passing it, where chance decided. */
export function passing(
  run: PassedRun | undefined,
  { number, missed, odds }: { readonly number: number; readonly missed?: MissedRule; readonly odds?: Odds },
): PassedRun {
  const kept = run?.missed
  return {
    first: run?.first ?? number,
    last: number,
    missed: missed === undefined ? kept : { rule: missed, before: kept },
    odds: odds === undefined ? (run?.odds ?? CERTAIN) : bothOdds(run?.odds ?? CERTAIN, odds),
  }
}

function passedStep({ first, last, missed, odds }: PassedRun, { table, chain, depth }: RunPlace): Step {
  const rules: MissedRule[] = []
  for (let link = missed; link !== undefined; link = link.before) rules.push(link.rule)
  return { type: 'passed', table, chain, depth, first, last, missed: rules.reverse(), odds }
}
