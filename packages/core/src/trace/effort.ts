import type { Odds } from '../model/odds.js'
import { TraceError } from '../ports/trace-question.js'
import type { PacketState, PartialWay } from './packet-state.js'
import { ALWAYS, type When } from './suppositions.js'
import type { ChainOutcome, ChainPlace } from './walk-chain.js'

/**
 * What a trace costs, and its bound: rules of twenty lines can have a packet meet millions, and what is asked of us ends. Every
 * count throws a TraceError TOO_MANY_WAYS beyond its bound.
 */
export interface Effort {
  /** A rule was looked at. */
  readonly passed: () => void
  /** A rule was tried, match by match: so many. */
  readonly judged: (matches: number, packet: PacketState) => void
  /** A rule was tried in cases of unknown facts that are alike. */
  readonly judgedInCases: (matches: number, cases: When) => void
  /** Chance, or an unknown fact, parts ways; the odds of one of them. */
  readonly parted: (odds: Odds) => void
  /** So much was tried by now that chains are not gone through twice. */
  readonly isLong: () => boolean
  readonly recall: (place: ChainPlace, way: PartialWay) => Remembered | undefined
  /** Keeps what became of the packet in a chain, where that was one thing, without chance. */
  readonly remember: (place: ChainPlace, way: PartialWay, outcomes: readonly ChainOutcome[]) => void
}

/** What becomes of a packet in a chain. */
export interface Remembered {
  readonly packet: PacketState
  readonly verdict: ChainOutcome['verdict']
}

export function createEffort(): Effort {
  let ways = 1
  let work = 0
  let tried = 0
  const known = new Map<string, Remembered>()
  let inCases = 0
  const spend = (amount: number): void => {
    work += amount
    if (work <= MAX_WORK) return
    if (inCases > MAX_WORK / 2)
      throw new TraceError(
        'TOO_MANY_WAYS',
        'the rules ask too much that neither they nor the input say to follow every case: give what is known, as what the ipsets contain',
      )
    throw new TraceError(
      'TOO_MANY_WAYS',
      'the packet meets too many rules to tell: chains lead to others again and again, or too many ways go through long chains',
    )
  }
  return {
    passed: () => spend(1),
    judged(matches, { recent }) {
      tried += 1
      spend(JUDGED + matches * MATCH + recent.length)
    },
    judgedInCases(matches, cases) {
      if (cases === ALWAYS) return
      let amount = JUDGED + matches * MATCH
      for (const one of cases) amount += 1 + Math.ceil((one?.count ?? 0) / LITERALS)
      inCases += amount
      spend(amount)
    },
    parted({ twos, others }) {
      ways += 1
      spend(PARTED + Math.ceil(twos / BITS) + (others === 1n ? 0 : others.toString(16).length))
      if (ways <= MAX_WAYS) return
      throw new TraceError(
        'TOO_MANY_WAYS',
        `the packet has more than ${MAX_WAYS} ways: too many rules leave it to chance, or to what is not known`,
      )
    },
    isLong: () => tried > LONG,
    recall: (place, way) => (way.when === ALWAYS ? known.get(keyOf(place, way.packet)) : undefined),
    remember(place, way, [outcome, ...others]) {
      if (outcome === undefined || others.length > 0 || outcome.way.odds !== way.odds) return
      if (way.when !== ALWAYS || outcome.way.when !== ALWAYS) return
      spend(MATCH + way.packet.recent.length)
      known.set(keyOf(place, way.packet), { packet: outcome.way.packet, verdict: outcome.verdict })
    },
  }
}

const MAX_WAYS = 20_000

/** In rules that plainly do not match: about a second. */
const MAX_WORK = 10_000_000
const JUDGED = 40
const MATCH = 40
const PARTED = 100
/** What a case supposes is looked through quickly. */
const LITERALS = 16
/** Exact odds of so many bits: they grow with each choice, and are summed up. */
const BITS = 512

/** Rules tried. A trace through kube-proxy's rules tries some dozens for each endpoint. */
const LONG = 1000

const keyOf = ({ table, chain }: ChainPlace, packet: PacketState): string =>
  `${table} ${chain} ${JSON.stringify(packet)}`

/** Each way is reported with all its steps, those that it has in common with others as well. Throws TOO_MANY_WAYS. */
export function checkTold(ways: readonly PartialWay[]): void {
  let steps = 0
  for (const { last } of ways) steps += last?.count ?? 0
  if (steps <= MAX_STEPS) return
  throw new TraceError(
    'TOO_MANY_WAYS',
    `the packet's ${ways.length} ways have ${steps} steps, and no more than ${MAX_STEPS} can be told: too many rules match it`,
  )
}

const MAX_STEPS = 1_000_000
