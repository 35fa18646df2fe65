import {
  assertNever,
  bothOdds,
  isCertain,
  otherOdds,
  TraceError,
  type Assumption,
  type Effect,
  type End,
  type Surroundings,
  type TracedRule,
} from '@pointsman/core'
import { applyTarget } from './apply-target.js'
import { flushed, joined, passing, type PassedRun } from './cases.js'
import { failsPlainly, judgeRule, nearlyMatches, type Judgement } from './judge-rule.js'
import { commentOf, type OwnedRule, type RuleTables } from './rule-tables.js'
import { ALWAYS, evaluateInCases, type InCases } from './suppositions.js'
import type { Effort } from './trace-effort.js'
import { dependsOn, withStep, type PartialWay } from './traced-packet.js'
import type { Applied, TargetPlace } from './translate.js'

/** What every step of a walk needs. */
export interface Walker {
  readonly tables: RuleTables
  readonly surroundings: Surroundings
  /** Keep every rule that did not match, not only those that nearly did. */
  readonly everyRule: boolean
  readonly assume: (assumption: Assumption) => void
  /** A rule of a chain, in words. */
  readonly tell: (chain: string, rule: OwnedRule) => TracedRule
  readonly effort: Effort
  /** The sets of kube-proxy's ipvs mode that rules ask for. Undefined: they are rules of no such mode. */
  readonly ipvs: readonly string[] | undefined
}

export interface ChainPlace {
  readonly table: string
  readonly chain: string
  /** The built-in chain that the packet is in. */
  readonly hook: string
  readonly depth: number
  /** The chains that the packet is in, this one included. */
  readonly trail: readonly string[]
}

/** `return`: the chain is at its end. `done`: the table has nothing more to say. */
export interface ChainOutcome {
  readonly way: PartialWay
  readonly verdict: 'return' | 'done' | End
}

/**
 * A packet's ways through one chain, and the chains that it leads to: in the order of the rules that part them. A long trace
 * goes through a chain once for the same packet, and says `again` from then on where only one way comes of it.
 */
export function walkChain(walker: Walker, place: ChainPlace, start: PartialWay): readonly ChainOutcome[] {
  if (place.depth > MAX_DEPTH) throw tooDeep(place)
  if (place.depth > NFT_DEPTH) walker.assume(deeperThanNft(place))
  if (!walker.effort.isLong()) return throughRules(walker, place, start)
  const { table, chain, depth } = place
  const before = walker.effort.recall(place, start)
  if (before !== undefined) {
    const way = withStep({ ...start, packet: before.packet }, { type: 'again', table, chain, depth })
    return [{ way, verdict: before.verdict }]
  }
  const outcomes = throughRules(walker, place, start)
  walker.effort.remember(place, start, outcomes)
  return outcomes
}

/** Beyond what anybody writes, and well within what the stack holds. */
const MAX_DEPTH = 256

/** NFT_JUMP_STACK_SIZE: nf_tables refuses to load more. ip_tables takes as many as there are chains. */
const NFT_DEPTH = 16

const deeperThanNft = ({ table }: ChainPlace): Assumption => ({
  code: 'JUMP_DEPTH',
  message: `chains of ${table} lead into each other more than ${NFT_DEPTH} deep, which nf_tables refuses: taken to be rules of iptables-legacy`,
})

const tooDeep = ({ table, trail }: ChainPlace): TraceError =>
  new TraceError(
    'TOO_DEEP',
    `the chains of ${table} lead into each other more than ${MAX_DEPTH} deep (${trail.slice(0, 3).join(' -> ')} -> ...), and nf_tables takes ${NFT_DEPTH}: shorten them`,
  )

/** Ways that are the same packet at the same rule in different cases go on as one. */
function throughRules(walker: Walker, place: ChainPlace, start: PartialWay): readonly ChainOutcome[] {
  const rules = walker.tables.chain(place.table, place.chain)?.rules ?? []
  const outcomes: ChainOutcome[] = []
  const chain = { ...place, rules }
  /** By the rule that they meet next; the last one goes first. */
  const waiting = new Map<number, Visit[]>([[0, [{ way: start, index: 0, run: undefined }]]])
  for (let index = 0; waiting.size > 0; index++) {
    const here = waiting.get(index)
    if (here === undefined) continue
    waiting.delete(index)
    for (const visit of joinedVisits(here, chain)) {
      const { ended, goOn } = walkOn(walker, chain, visit)
      for (const outcome of ended) outcomes.push(outcome)
      for (const next of goOn) {
        const there = waiting.get(next.index)
        if (there === undefined) waiting.set(next.index, [next])
        else there.push(next)
      }
    }
  }
  return joined(outcomes, place)
}

function joinedVisits(visits: readonly Visit[], chain: Chain): readonly Visit[] {
  if (visits.length < 2 || visits.every(({ way }) => way.when === ALWAYS)) return visits
  const ways = visits.map(({ way, run }) => ({ way: flushed(way, run, chain) }))
  const together = joined(ways, chain)
  if (together.length === ways.length) return visits
  return together.map(({ way }) => ({ way, index: visits[0]?.index ?? 0, run: undefined }))
}

/** A way that is about to meet a rule, having passed a run of them. */
interface Visit {
  readonly way: PartialWay
  readonly index: number
  readonly run: PassedRun | undefined
}

interface Chain extends ChainPlace {
  readonly rules: readonly OwnedRule[]
}

interface Walked {
  readonly ended: readonly ChainOutcome[]
  readonly goOn: readonly Visit[]
}

/** As far as the next rule that matches, or may. */
function walkOn(walker: Walker, chain: Chain, visit: Visit): Walked {
  const { rules } = chain
  const isSmall = rules.length <= SMALL_CHAIN || walker.everyRule
  let { way, run } = visit
  for (let at = visit.index; at < rules.length; at++) {
    const owned = rules[at] ?? NO_RULE
    const { rule } = owned
    const number = at + 1
    walker.effort.passed()
    const isKept = isSmall || nearlyMatches(rule, way.packet)
    if (!isKept && failsPlainly(rule, way.packet)) {
      run = passing(run, { number })
      continue
    }
    const { judgement, cases } = judgeInCases(walker, owned, way)
    const meeting = { way, run, number, owned }
    const assumptions = cases.flatMap(({ value }) => value.assumptions)
    if (assumptions.length > 0 && !decidesNothing(walker, chain, meeting)) assumptions.forEach(walker.assume)
    const [only, ...more] = cases
    if (only !== undefined && (more.length > 0 || only.value.matches)) {
      if (judgement !== undefined && decidesNothing(walker, chain, meeting))
        return matched(walker, chain, { ...meeting, judgement: { ...judgement, unknown: undefined } })
      const walks = cases.map(({ value, when }): Walked => {
        const here = { ...meeting, way: { ...way, when }, judgement: value }
        if (value.matches) return matched(walker, chain, here)
        const missed = { number, rule: walker.tell(chain.chain, owned), conditions: value.conditions }
        const next = { ...here.way, packet: value.passed }
        return { ended: [], goOn: [{ way: next, index: number, run: passing(run, { number, missed }) }] }
      })
      if (cases.length > 1) walker.effort.parted(way.odds)
      return { ended: walks.flatMap(({ ended }) => ended), goOn: walks.flatMap(({ goOn }) => goOn) }
    }
    const conditions = only?.value.conditions ?? []
    way = { ...way, packet: only?.value.passed ?? way.packet }
    run = passing(run, {
      number,
      ...(isKept && { missed: { number, rule: walker.tell(chain.chain, owned), conditions } }),
    })
  }
  return { ended: [{ way: flushed(way, run, chain), verdict: 'return' }], goOn: [] }
}

interface JudgedRule {
  /** Where it is unknown whether the rule matches: what is known of it. */
  readonly judgement: Judgement | undefined
  readonly cases: readonly InCases<Judgement>[]
}

function judgeInCases({ surroundings, effort }: Walker, { rule }: OwnedRule, way: PartialWay): JudgedRule {
  const { packet, when } = way
  effort.judged(rule, packet)
  const first = judgeRule(rule, { packet, surroundings, supposed: undefined })
  if (first.unknown === undefined) return { judgement: undefined, cases: [{ value: first, when }] }
  const cases = evaluateInCases<Judgement>(
    when,
    (supposed) => {
      const value = judgeRule(rule, { packet, surroundings, supposed })
      return value.unknown === undefined ? { value } : { unknown: value.unknown }
    },
    {
      keyOf: ({ matches, changes, packet: hit, passed }) => `${matches}${changes ? JSON.stringify([hit, passed]) : ''}`,
      spend: (asked) => effort.judgedInCases(rule, asked),
    },
  )
  return { judgement: first, cases }
}

/** Whether a rule leaves the packet as it is and lets it go on, as LOG does: then it does not matter if it matches. */
function decidesNothing(walker: Walker, chain: Chain, { way, number, owned }: Omit<Match, 'judgement'>): boolean {
  const { target, matches } = owned.rule
  if (matches.some(({ type }) => type === 'recent')) return false
  const applied = applyTarget(target, targetPlace(walker, chain, { way, number, owned }))
  return 'value' in applied && applied.value.effect.type === 'continue' && applied.value.packet === way.packet
}

const targetPlace = (
  { surroundings, tables }: Walker,
  { table, chain, hook }: ChainPlace,
  { way, number, owned }: Pick<Match, 'way' | 'number' | 'owned'>,
): TargetPlace => ({
  packet: way.packet,
  surroundings,
  supposed: undefined,
  hook,
  where: `rule ${number} of ${table} ${chain}`,
  comment: commentOf(owned.rule),
  rulesIn: (name) => tables.chain(table, name)?.rules.length,
})

const NO_RULE: OwnedRule = { rule: { matches: [] } }

/** The most rules of a chain that is listed with all that did not match. */
const SMALL_CHAIN = 32

interface Match {
  readonly way: PartialWay
  readonly run: PassedRun | undefined
  readonly number: number
  readonly owned: OwnedRule
  readonly judgement: Judgement
}

function matched(walker: Walker, chain: Chain, match: Match): Walked {
  const { way, run, number, owned, judgement } = match
  const { table, depth } = chain
  const { odds, conditions, passed } = judgement
  const place = targetPlace(walker, chain, { ...match, way: { ...way, packet: judgement.packet } })
  const applied = evaluateInCases<Applied>(
    way.when,
    (supposed) => applyTarget(owned.rule.target, { ...place, supposed }),
    {
      keyOf: ({ effect, packet, assumptions }) => JSON.stringify([effect, packet, assumptions]),
      spend: (asked) => walker.effort.judgedInCases(owned.rule, asked),
    },
  )
  const rule = walker.tell(chain.chain, owned)
  const next = { index: number, run: undefined }
  const before = flushed(way, run, chain)
  const walks = applied.map(({ value: { effect, packet, assumptions }, when }): Walked => {
    for (const assumption of assumptions) walker.assume(assumption)
    const step = { type: 'rule', table, chain: chain.chain, depth, number, rule, conditions, odds, effect } as const
    const here = { ...withStep(before, step), when }
    const changesNothing = effect.type === 'continue' && packet === passed
    if (isCertain(odds) || changesNothing) return followed(walker, chain, { effect, way: { ...here, packet }, next })
    const taken = { ...here, packet, odds: bothOdds(way.odds, odds) }
    walker.effort.parted(taken.odds)
    return followed(walker, chain, { effect, way: taken, next })
  })
  if (applied.length > 1) walker.effort.parted(way.odds)
  const ended = walks.flatMap((walk) => walk.ended)
  const goOn = walks.flatMap((walk) => walk.goOn)
  const [first] = applied
  const isSure = isCertain(odds) || (first?.value.effect.type === 'continue' && first.value.packet === passed)
  if (isSure) return { ended, goOn }
  const notTaken = otherOdds(odds)
  const rest: Visit = {
    way: { ...way, packet: passed, odds: bothOdds(way.odds, notTaken) },
    index: number,
    run: passing(run, { number, odds: notTaken }),
  }
  return { ended, goOn: [...goOn, rest] }
}

interface Following {
  readonly effect: Effect
  readonly way: PartialWay
  readonly next: Pick<Visit, 'index' | 'run'>
}

function followed(walker: Walker, chain: Chain, { effect, way, next }: Following): Walked {
  const { table, chain: name, depth, trail } = chain
  const number = next.index
  const ended = (verdict: ChainOutcome['verdict']): Walked => ({ ended: [{ way, verdict }], goOn: [] })
  switch (effect.type) {
    case 'jump':
    case 'goto': {
      const place = { table, chain: effect.chain, hook: chain.hook, depth: depth + 1, trail: [...trail, effect.chain] }
      if (trail.includes(effect.chain)) throw loopOf(place)
      const outcomes = walkChain(walker, place, way)
      // Who went by goto comes back to where the last jump was.
      if (effect.type === 'goto') return { ended: outcomes, goOn: [] }
      return {
        ended: outcomes.filter(({ verdict }) => verdict !== 'return'),
        goOn: outcomes.filter(({ verdict }) => verdict === 'return').map((outcome) => ({ ...next, way: outcome.way })),
      }
    }
    case 'return':
      return ended('return')
    case 'accept':
    case 'dnat':
    case 'snat':
      return ended('done')
    case 'drop':
      return ended({ fate: 'dropped', by: { table, chain: name, number } })
    case 'reject':
      return ended({ fate: 'rejected', with: effect.with, by: { table, chain: name, number } })
    case 'mark':
    case 'untracked':
    case 'continue':
      return { ended: [], goOn: [{ ...next, way }] }
    case 'hand-over':
      switch (effect.outcome) {
        case 'accept':
          return ended('done')
        case 'drop':
          return ended({ fate: 'dropped', by: { table, chain: name, number } })
        case 'continue':
          return { ended: [], goOn: [{ ...next, way }] }
        case 'end':
          return ended({ ...dependsOn(effect.what, way.packet), by: { table, chain: name, number } })
        default:
          return assertNever(effect.outcome)
      }
    default:
      return assertNever(effect)
  }
}

const loopOf = ({ table, trail }: ChainPlace): TraceError =>
  new TraceError('RULE_LOOP', `the chains of ${table} go round in a loop: ${loopIn(trail).join(' -> ')}`)

/** The way there and the loop; of a long one, where it begins and ends. */
const loopIn = (trail: readonly string[]): readonly string[] =>
  trail.length <= 12 ? trail : [...trail.slice(0, 6), '...', ...trail.slice(-5)]
