import {
  assertNever,
  type Assumption,
  bothOdds,
  CERTAIN,
  type Effect,
  type End,
  isCertain,
  type MissedRule,
  type Odds,
  otherOdds,
  type PassedRules,
  type Step,
  type Surroundings,
  type TracedRule,
  TraceError,
} from '@pointsman/core'
import { applyTarget } from './apply-target.js'
import { failsPlainly, type Judgement, judgeRule, nearlyMatches } from './judge-rule.js'
import type { OwnedRule, RuleTables } from './rule-tables.js'
import type { Effort } from './trace-effort.js'
import { type PartialWay, withStep } from './traced-packet.js'

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
}

export interface ChainPlace {
  readonly table: string
  readonly chain: string
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

function throughRules(walker: Walker, place: ChainPlace, start: PartialWay): readonly ChainOutcome[] {
  const rules = walker.tables.chain(place.table, place.chain)?.rules ?? []
  const outcomes: ChainOutcome[] = []
  // The last one goes first.
  const waiting: Visit[] = [{ way: start, index: 0, run: undefined }]
  for (let visit = waiting.pop(); visit !== undefined; visit = waiting.pop()) {
    const { ended, goOn } = walkOn(walker, { ...place, rules }, visit)
    for (const outcome of ended) outcomes.push(outcome)
    for (const next of goOn.toReversed()) waiting.push(next)
  }
  return outcomes
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

/** As far as the next rule that matches. */
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
    walker.effort.judged(rule, way.packet)
    const judgement = judgeRule(rule, way.packet, walker.surroundings)
    for (const assumption of judgement.assumptions) walker.assume(assumption)
    if (judgement.matches) return matched(walker, chain, { way, run, number, owned, judgement })
    const { conditions } = judgement
    way = { ...way, packet: judgement.passed }
    run = passing(run, {
      number,
      ...(isKept && { missed: { number, rule: walker.tell(chain.chain, owned), conditions } }),
    })
  }
  return { ended: [{ way: flushed(way, run, chain), verdict: 'return' }], goOn: [] }
}

const NO_RULE: OwnedRule = { rule: { matches: [] } }

/** A chain whose rules are all worth telling, those that did not match as well. */
const SMALL_CHAIN = 32

interface Match {
  readonly way: PartialWay
  readonly run: PassedRun | undefined
  readonly number: number
  readonly owned: OwnedRule
  readonly judgement: Judgement
}

function matched(walker: Walker, chain: Chain, { way, run, number, owned, judgement }: Match): Walked {
  const { table, depth } = chain
  const { odds, conditions, passed } = judgement
  const { effect, packet, assumptions } = applyTarget(owned.rule.target, {
    packet: judgement.packet,
    surroundings: walker.surroundings,
    rulesIn: (name) => walker.tables.chain(table, name)?.rules.length,
  })
  for (const assumption of assumptions) walker.assume(assumption)
  const rule = walker.tell(chain.chain, owned)
  const step = { type: 'rule', table, chain: chain.chain, depth, number, rule, conditions, odds, effect } as const
  const here = withStep(flushed(way, run, chain), step)
  const next = { index: number, run: undefined }
  const changesNothing = effect.type === 'continue' && packet === passed
  if (isCertain(odds) || changesNothing) {
    return followed(walker, chain, { effect, way: { ...here, packet }, next })
  }
  const taken = { ...here, packet, odds: bothOdds(way.odds, odds) }
  walker.effort.parted(taken.odds)
  const notTaken = otherOdds(odds)
  const rest: Visit = {
    way: { ...way, packet: passed, odds: bothOdds(way.odds, notTaken) },
    index: number,
    run: passing(run, { number, odds: notTaken }),
  }
  const { ended, goOn } = followed(walker, chain, { effect, way: taken, next })
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
      const place = { table, chain: effect.chain, depth: depth + 1, trail: [...trail, effect.chain] }
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
    default:
      return assertNever(effect)
  }
}

const loopOf = ({ table, trail }: ChainPlace): TraceError =>
  new TraceError('RULE_LOOP', `the chains of ${table} go round in a loop: ${loopIn(trail).join(' -> ')}`)

/** The way there and the loop; of a long one, where it begins and ends. */
const loopIn = (trail: readonly string[]): readonly string[] =>
  trail.length <= 12 ? trail : [...trail.slice(0, 6), '...', ...trail.slice(-5)]

const flushed = (way: PartialWay, run: PassedRun | undefined, place: ChainPlace): PartialWay =>
  run === undefined ? way : withStep(way, passedStep(run, placeIn(place)))

const placeIn = ({ table, chain, depth }: ChainPlace) => ({ table, chain, depth })

/** Rules in a row that did not match, while they are being passed. */
interface PassedRun {
  readonly first: number
  readonly last: number
  readonly missed: MissedList | undefined
  readonly odds: Odds
}

interface MissedList {
  readonly rule: MissedRule
  readonly before: MissedList | undefined
}

/** The run with one rule more: what is kept of it, and the odds of passing it, where that is told. */
function passing(
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

function passedStep(
  { first, last, missed, odds }: PassedRun,
  place: Pick<PassedRules, 'table' | 'chain' | 'depth'>,
): Step {
  const rules: MissedRule[] = []
  for (let link = missed; link !== undefined; link = link.before) rules.push(link.rule)
  return { type: 'passed', ...place, first, last, missed: rules.reverse(), odds }
}
