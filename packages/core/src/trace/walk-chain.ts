import { assertNever } from '../model/language.js'
import { bothOdds, CERTAIN, type Odds } from '../model/odds.js'
import { type Surroundings, TraceError } from '../ports/trace-question.js'
import type { Assumption, Condition, Effect, End, Hook, TracedRule } from '../ports/trace.js'
import { flushed, joined, passing, type PassedRun } from './cases.js'
import type { Effort } from './effort.js'
import { dependsOn, type PacketState, type PartialWay, withStep } from './packet-state.js'
import { ALWAYS, type When } from './suppositions.js'

/** What every step of a walk needs, whichever rule system it goes through. */
export interface WalkContext {
  readonly surroundings: Surroundings
  /** Keep every rule that did not match, not only those that nearly did. */
  readonly everyRule: boolean
  readonly assume: (assumption: Assumption) => void
  readonly effort: Effort
}

/** The rules of one rule system, as a walk goes through them. */
export interface RuleSystem<Rule> {
  /** Undefined: there is no such chain. */
  readonly rulesOf: (table: string, chain: string) => readonly Rule[] | undefined
  /** Whether a rule plainly fails, without a trace: nearly every rule of a large chain does, and no words are made for it. */
  readonly failsPlainly: (rule: Rule, packet: PacketState) => boolean
  /** Whether a rule that fails is about what the packet is sent to. */
  readonly nearlyMatches: (rule: Rule, packet: PacketState) => boolean
  /** A rule of a chain, in words. */
  readonly tell: (chain: string, rule: Rule) => TracedRule
  /** What becomes of a packet that meets a rule: of a way in the cases that it is taken in. Never empty; the odds add up to the way's. */
  readonly meet: (rule: Rule, meeting: Meeting) => readonly Met[]
  /** What it says that chains lead into each other deeper than nf_tables takes. */
  readonly deeper?: ((table: string) => Assumption) | undefined
}

/** A way at a rule. */
export interface Meeting {
  readonly context: WalkContext
  readonly place: ChainPlace
  readonly number: number
  readonly way: PartialWay
}

/** What becomes of a way at a rule, in some cases, and with some odds. */
export interface Met {
  readonly when: When
  readonly packet: PacketState
  /** Undefined: the rule does not match. */
  readonly effect: Effect | undefined
  /** Absent: chance alone decided that it does not match, and nothing is told of it. */
  readonly conditions?: readonly Condition[] | undefined
  /** The chance that it comes to this, for a person. Absent: none is in it. */
  readonly chance?: Odds | undefined
  /** Whether chance parts this from other ways: else the packet continues the same either way. */
  readonly isParted: boolean
  readonly assumptions: readonly Assumption[]
}

export interface ChainPlace {
  readonly table: string
  readonly chain: string
  readonly hook: Hook
  readonly depth: number
  /** The chains that the packet is in, this one included. */
  readonly trail: readonly string[]
}

/** `return`: the chain is at its end. `done`: the base chain has nothing more to say. `translated`: and it rewrote an address. */
export interface ChainOutcome {
  readonly way: PartialWay
  readonly verdict: 'return' | 'done' | 'translated' | End
}

/** A rule system on a walk. */
export interface Walker<Rule> {
  readonly system: RuleSystem<Rule>
  readonly context: WalkContext
}

/**
 * A packet's ways through one chain, and the chains that it leads to: in the order of the rules that part them. A long trace
 * goes through a chain once for the same packet, and says `again` from then on where only one way comes of it.
 */
export function walkChain<Rule>(walker: Walker<Rule>, place: ChainPlace, start: PartialWay): readonly ChainOutcome[] {
  if (place.depth > MAX_DEPTH) throw tooDeep(place)
  const { system, context } = walker
  if (place.depth > NFT_DEPTH && system.deeper !== undefined) context.assume(system.deeper(place.table))
  if (!context.effort.isLong()) return throughRules(walker, place, start)
  const { table, chain, depth } = place
  const before = context.effort.recall(place, start)
  if (before !== undefined) {
    const way = withStep({ ...start, packet: before.packet }, { type: 'again', table, chain, depth })
    return [{ way, verdict: before.verdict }]
  }
  const outcomes = throughRules(walker, place, start)
  context.effort.remember(place, start, outcomes)
  return outcomes
}

/** Beyond what anybody writes, and well within what the stack holds. */
const MAX_DEPTH = 256

/** NFT_JUMP_STACK_SIZE: nf_tables refuses to load more. ip_tables takes as many as there are chains. */
export const NFT_DEPTH = 16

const tooDeep = ({ table, trail }: ChainPlace): TraceError =>
  new TraceError(
    'TOO_DEEP',
    `the chains of ${table} lead into each other more than ${MAX_DEPTH} deep (${trail.slice(0, 3).join(' -> ')} -> ...), and nf_tables takes ${NFT_DEPTH}: shorten them`,
  )

/** Ways that are the same packet at the same rule in different cases go on as one. */
function throughRules<Rule>(walker: Walker<Rule>, place: ChainPlace, start: PartialWay): readonly ChainOutcome[] {
  const rules = walker.system.rulesOf(place.table, place.chain) ?? []
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

function joinedVisits(visits: readonly Visit[], chain: ChainPlace): readonly Visit[] {
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

interface Chain<Rule> extends ChainPlace {
  readonly rules: readonly Rule[]
}

interface Walked {
  readonly ended: readonly ChainOutcome[]
  readonly goOn: readonly Visit[]
}

/** As far as the next rule that matches, or may. */
function walkOn<Rule>({ system, context }: Walker<Rule>, chain: Chain<Rule>, visit: Visit): Walked {
  const { rules } = chain
  const isSmall = rules.length <= SMALL_CHAIN || context.everyRule
  let { way, run } = visit
  for (let at = visit.index; at < rules.length; at++) {
    const rule = rules[at]
    if (rule === undefined) break
    const number = at + 1
    context.effort.passed()
    const isKept = isSmall || system.nearlyMatches(rule, way.packet)
    if (!isKept && system.failsPlainly(rule, way.packet)) {
      run = passing(run, { number })
      continue
    }
    const mets = system.meet(rule, { context, place: chain, number, way })
    const [only, ...more] = mets
    if (only === undefined) break
    for (const { assumptions } of mets) assumptions.forEach(context.assume)
    if (more.length > 0 || only.effect !== undefined)
      return metRule({ system, context }, chain, { mets, rule, number, way, run })
    way = { ...way, packet: only.packet }
    const conditions = only.conditions ?? []
    run = passing(run, {
      number,
      ...(isKept && { missed: { number, rule: system.tell(chain.chain, rule), conditions } }),
    })
  }
  return { ended: [{ way: flushed(way, run, chain), verdict: 'return' }], goOn: [] }
}

/** The most rules of a chain that is listed with all that did not match. */
const SMALL_CHAIN = 32

interface Match<Rule> {
  readonly mets: readonly Met[]
  readonly rule: Rule
  readonly number: number
  readonly way: PartialWay
  readonly run: PassedRun | undefined
}

/** Every way from a rule that matches, or may. */
function metRule<Rule>(
  walker: Walker<Rule>,
  chain: Chain<Rule>,
  { mets, rule, number, way, run }: Match<Rule>,
): Walked {
  const { system, context } = walker
  const ended: ChainOutcome[] = []
  const goOn: Visit[] = []
  const told = system.tell(chain.chain, rule)
  const before = mets.some(({ effect }) => effect !== undefined) ? flushed(way, run, chain) : way
  const { table, depth } = chain
  if (new Set(mets.map(({ when }) => when)).size > 1) context.effort.parted(way.odds)
  for (const { when, packet, effect, conditions, chance, isParted } of mets) {
    const odds = chance === undefined || !isParted ? way.odds : bothOdds(way.odds, chance)
    if (isParted && effect !== undefined) context.effort.parted(odds)
    if (effect === undefined) {
      const missed = conditions && { number, rule: told, conditions }
      goOn.push({
        way: { ...way, when, packet, odds },
        index: number,
        run: passing(run, { number, ...(missed && { missed }), ...(isParted && chance && { odds: chance }) }),
      })
      continue
    }
    const step = {
      type: 'rule',
      table,
      chain: chain.chain,
      depth,
      number,
      rule: told,
      conditions: conditions ?? [],
      odds: chance ?? CERTAIN,
      effect,
    } as const
    const here = { ...withStep({ ...before, odds }, step), when, packet }
    const walked = followed(walker, chain, { effect, way: here, next: { index: number, run: undefined } })
    for (const outcome of walked.ended) ended.push(outcome)
    for (const visit of walked.goOn) goOn.push(visit)
  }
  return { ended, goOn }
}

interface Following {
  readonly effect: Effect
  readonly way: PartialWay
  readonly next: Pick<Visit, 'index' | 'run'>
}

function followed<Rule>(walker: Walker<Rule>, chain: ChainPlace, { effect, way, next }: Following): Walked {
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
      return ended('done')
    case 'dnat':
    case 'snat':
      return ended('translated')
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
