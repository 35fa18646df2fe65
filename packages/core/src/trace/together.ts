import type { IpFamily } from '../model/address.js'
import { TraceError, type TraceableRules, type TraceQuestion } from '../ports/trace-question.js'
import type { Trace } from '../ports/trace.js'
import type { BaseChain, NodeRules } from './hooks.js'
import type { Claim } from './suppositions.js'
import { tracePacket } from './trace-packet.js'
import type { WalkContext } from './walk-chain.js'

/** The rules of one listing, with what makes chains of them for a walk. */
export class HookedRules implements TraceableRules {
  readonly tables: readonly string[]
  readonly #parts: HookedParts

  constructor(parts: HookedParts) {
    this.tables = parts.tables
    this.#parts = parts
  }

  /** Throws a TraceError where the rules cannot be asked that. */
  check(question: TraceQuestion): void {
    this.#parts.check?.(question)
  }

  /** Its chains for packets of a family, of equal priorities in the order in which the kernel asks them. */
  rulesIn(context: WalkContext, family: IpFamily): NodeRules {
    return this.#parts.rulesIn(context, family)
  }

  /** Adds what the listing says about the answer; throws a TraceError where the listing is too little for it. */
  judged(trace: Trace, others: readonly TraceableRules[]): Trace {
    return this.#parts.judged?.(trace, others) ?? trace
  }
}

interface HookedParts extends TraceableRules {
  readonly check?: HookedRules['check']
  readonly rulesIn: HookedRules['rulesIn']
  readonly judged?: HookedRules['judged']
}

/**
 * The way of a packet through the rules of several listings of one node, of one rule system or several: all base chains at a hook by their
 * priorities, as the kernel asks them. The tables of iptables-nft that nft lists are followed as iptables lists them, at nft's place. Of
 * chains with equal priorities in different listings no listing says which is asked first: where the verdict differs with it, it
 * depends on that. Throws a TraceError as `tracePacket`, and for a table that is there twice.
 */
export function traceTogether(listings: readonly TraceableRules[], question: TraceQuestion): Trace {
  const all = listings.map((one) => {
    if (one instanceof HookedRules) return one
    throw new TypeError('these rules were not made for this walk')
  })
  for (const one of all) one.check(question)
  checkTables(all)
  const family = question.packet.destination.includes(':') ? 'IPv6' : 'IPv4'
  const ties = new Map<string, Tie>()
  const rulesIn = (context: WalkContext, isInOrder: boolean): NodeRules => {
    const joined = joinedRules(
      all.map((one) => one.rulesIn(context, family)),
      { context, isInOrder },
    )
    for (const tie of joined.ties) ties.set(`${tie.hook} ${tie.first}`, tie)
    return joined.rules
  }
  const judged = (trace: Trace): Trace =>
    all.reduce(
      (before, one) =>
        one.judged(
          before,
          all.filter((other) => other !== one),
        ),
      trace,
    )
  const trace = judged(tracePacket(question, rulesIn))
  const met = [...ties.values()].filter((tie) => isMet(tie, trace))
  const [tie] = met
  if (tie === undefined) return trace
  const otherwise = tracePacket(question, (context) => rulesIn(context, false))
  if (waysIn(trace) !== waysIn(otherwise))
    return judged(tracePacket(question, rulesIn, orderClaim(tie, met.length - 1)))
  const assumed = met.map(({ hook, first, second }) => ({
    code: 'CHAIN_ORDER' as const,
    message: `${first} and ${second} are asked at ${hook} with equal priorities: taken to be asked in this order; the other way round, the same rules match`,
  }))
  return { ...trace, assumptions: [...trace.assumptions, ...assumed] }
}

function checkTables(all: readonly HookedRules[]): void {
  const seen = new Set<string>()
  for (const table of all.flatMap(({ tables }) => tables)) {
    if (seen.has(table))
      throw new TraceError('TABLE_TWICE', `the table ${table} is in two of the listings: give each table once`)
    seen.add(table)
  }
}

/** Two chains at one hook with equal priorities, of different listings. */
interface Tie {
  readonly hook: BaseChain['hook']
  readonly first: string
  readonly second: string
}

/** Of several, all are as the first or none: which of them decides, and whether they can differ, is not looked into. */
function orderClaim({ hook, first, second }: Tie, others: number): Claim {
  const more = others === 0 ? '' : `, and ${others} more such pair${others === 1 ? '' : 's'} likewise`
  const text = `${first} is asked before ${second} at ${hook}, which has the same priority${more}`
  return { subject: text, low: '', high: '', code: 'CHAIN_ORDER', text }
}

/** Whether a packet comes to it: no more is known of which way it takes. */
const isMet = ({ hook, first, second }: Tie, { ways }: Trace): boolean =>
  ways.some(({ steps }) =>
    steps.some((step) => step.type === 'table' && step.hook === hook && [first, second].includes(nameOf(step))),
  )

const nameOf = ({ table, chain, hook }: Pick<BaseChain, 'table' | 'chain' | 'hook'>): string =>
  `${table} ${chain ?? hook}`

/** How each way ends, and which rules match on it, in any order. Odds are of bigints. */
const waysIn = ({ ways }: Trace): string =>
  JSON.stringify(
    ways.map(({ odds, end, when, steps }) => [
      odds,
      end,
      when,
      steps.flatMap((step) => (step.type === 'rule' ? [`${step.table} ${step.chain} ${step.number}`] : [])).toSorted(),
    ]),
    (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value),
  )

interface Joining {
  readonly context: WalkContext
  readonly isInOrder: boolean
}

function joinedRules(
  all: readonly NodeRules[],
  { context, isInOrder }: Joining,
): { readonly rules: NodeRules; readonly ties: readonly Tie[] } {
  const listed = new Map(
    all
      .flatMap(({ chains }) => chains)
      .flatMap((chain) =>
        chain.ofIptables?.listed === undefined || chain.ofIptables.listed === 'legacy'
          ? []
          : [[placeOf(chain), chain] as const],
      ),
  )
  const placed = new Set<BaseChain>()
  const inNft = all.map(({ chains }) =>
    chains.map((chain) => {
      const { ofIptables } = chain
      const same = ofIptables === undefined || ofIptables.listed !== undefined ? undefined : listed.get(placeOf(chain))
      if (same === undefined) return chain
      placed.add(same)
      if (same.ofIptables?.listed === 'either')
        context.assume({
          code: 'SAME_TABLE',
          message: `the table ${chain.table} that nft lists is taken to be the table ${same.table} that iptables-save printed`,
        })
      return same
    }),
  )
  const nftTables = new Set(
    all.flatMap(({ chains }) =>
      chains.flatMap(({ ofIptables: of }) => (of && of.listed === undefined ? [of.table] : [])),
    ),
  )
  const groups = inNft
    .map((chains, at) => chains.filter((chain) => !placed.has(chain) || all[at]?.chains.includes(chain) !== true))
    .filter((chains) => chains.length > 0)
  const missed = all.flatMap(({ missedNat }) => (missedNat === undefined ? [] : [missedNat]))
  return {
    rules: {
      chains: (isInOrder ? groups : groups.toReversed()).flat(),
      missing: all.flatMap(({ missing = [] }) => missing.filter((table) => !nftTables.has(table))),
      otherProxy: all.find(({ otherProxy }) => otherProxy !== undefined)?.otherProxy,
      ...(missed.length > 0 && {
        missedNat: (packet) => missed.map((of) => of(packet)).find((words) => words !== '') ?? '',
      }),
    },
    ties: tiesOf(groups),
  }
}

/** `OUTPUT nat`: where iptables has one chain. */
const placeOf = ({ hook, ofIptables }: BaseChain): string => `${hook} ${ofIptables?.table ?? ''}`

function tiesOf(groups: readonly (readonly BaseChain[])[]): readonly Tie[] {
  const ties: Tie[] = []
  for (const [at, group] of groups.entries()) {
    for (const one of group.filter(doesSomething)) {
      for (const other of groups
        .slice(at + 1)
        .flat()
        .filter(doesSomething)) {
        if (one.hook !== other.hook || one.priority !== other.priority || one.isNat !== other.isNat) continue
        ties.push({ hook: one.hook, first: nameOf(one), second: nameOf(other) })
      }
    }
  }
  return ties
}

const doesSomething = ({ rules, policy }: BaseChain): boolean => rules > 0 || policy === 'DROP'
