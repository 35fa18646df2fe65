import type { Surroundings, TraceQuestion } from '../ports/trace-question.js'
import type { Assumption, Trace, Way } from '../ports/trace.js'
import { casesOf, dependencesOf, endpointsOfCases, fatesOfCases } from './cases.js'
import { checkTold, createEffort } from './effort.js'
import { type EndedWay, type NodeRules, throughHooks } from './hooks.js'
import { isOwnAddress, type PacketState, type PartialWay, startOf, stepsOf, wayOf } from './packet-state.js'
import { ALWAYS, type Claim, suppositionOf, suppositionsOf, type When, withClaim } from './suppositions.js'
import type { WalkContext } from './walk-chain.js'

/**
 * The way of a packet through the rules of a node, as the kernel goes it: every hook, base chain and rule that it meets, in order.
 * Where chance decides, each way is reported with its exact odds. An unknown fact that a rule tests is assumed, and the assumption
 * is listed. `rulesIn` gives the rules for a walk: there is more than one where it is unknown whether the destination is the node's, or
 * whether the claim `order` holds, which decides in which order chains are asked.
 * Throws a TraceError for what is no packet, or no rules that a kernel would take.
 */
export function tracePacket(
  { packet, surroundings, everyRule = false }: TraceQuestion,
  rulesIn: (context: WalkContext, isInOrder: boolean) => NodeRules,
  order?: Claim,
): Trace {
  const start = startOf(packet)
  const assumptions = new Map<string, Assumption>()
  const assume = (assumption: Assumption): void => void assumptions.set(assumption.message, assumption)
  const context = { surroundings: withSender(surroundings, start), everyRule, assume, effort: createEffort() }
  const ended = startsOf(context.surroundings, start)
    .flatMap((one) => (order === undefined ? [one] : inEitherOrder(one, order)))
    .flatMap((one) => {
      const own = { ...context, surroundings: one.surroundings }
      const rules = rulesIn(own, one.isInOrder !== false)
      for (const table of rules.missing ?? [])
        assume({ code: 'TABLE_MISSING', message: `the rules have no table ${table}: it is taken to be empty` })
      return throughHooks(own, rules, { start: one.way, connection: packet.connection })
    })
    .toSorted((a, b) => whereTheyPart(a.way.when, b.way.when))
  checkTold(ended.map(({ way }) => way))
  const { cases, isCut } = casesOf(ended)
  const [first] = cases
  const isSure = first !== undefined && cases.length === 1 && !isCut
  const fates = isSure ? first.fates : fatesOfCases(cases)
  return {
    fate: isSure || fates.length === 1 ? (fates[0]?.fate ?? 'no-service') : 'depends',
    fates,
    endpoints: isSure ? first.endpoints : endpointsOfCases(cases),
    ways: ended.map(wayTold),
    assumptions: [...assumptions.values()],
    ...(!isSure && { cases, dependsOn: dependencesOf(cases, ended) }),
  }
}

interface Start {
  readonly surroundings: Surroundings
  readonly way: PartialWay
  /** Absent: in the order in which `rulesIn` gives chains by itself. */
  readonly isInOrder?: boolean
}

const inEitherOrder = (start: Start, order: Claim): readonly Start[] =>
  [true, false].map((isInOrder) => ({
    ...start,
    isInOrder,
    way: { ...start.way, when: start.way.when.map((one) => withClaim(one, order, isInOrder)) },
  }))

/** One, or two where it is unknown whether the destination is an address of the node: that decides from the first hook on. */
function startsOf(surroundings: Surroundings, start: PacketState): readonly Start[] {
  const way = wayOf(start)
  const { destination } = start
  const { nodeAddresses, maybeNodeAddresses = [] } = surroundings
  if (isOwnAddress(surroundings, destination) || !maybeNodeAddresses.includes(destination))
    return [{ surroundings, way }]
  const claim: Claim = {
    subject: `node address ${destination}`,
    low: '',
    high: '',
    code: 'NODE_ADDRESS',
    text: `${destination} is an address of the node`,
  }
  const having = { ...surroundings, nodeAddresses: [...nodeAddresses, destination] }
  return [
    { surroundings: having, way: { ...way, when: [withClaim(undefined, claim, true)] } },
    { surroundings, way: { ...way, when: [withClaim(undefined, claim, false)] } },
  ]
}

/** Of two ways that part by a claim, the one where it holds comes first. */
function whereTheyPart([one]: When, [other]: When): number {
  if (one === undefined || other === undefined) return 0
  const others = suppositionsOf(other)
  const at = suppositionsOf(one).findIndex(({ holds }, index) => holds !== others[index]?.holds)
  const [a, b] = [suppositionsOf(one)[at], others[at]]
  return a === undefined || a.claim !== b?.claim ? 0 : a.holds ? -1 : 1
}

const wayTold = ({ way, end }: EndedWay): Way => ({
  odds: way.odds,
  end,
  steps: stepsOf(way),
  ...(way.when !== ALWAYS && {
    when: isTold(way.when) ? way.when.map((one) => suppositionsOf(one).map(suppositionOf)) : [],
  }),
})

const isTold = (when: When): boolean => when.reduce((sum, one) => sum + (one?.count ?? 0), 0) <= MOST_TOLD

/** The suppositions that a way lists. */
const MOST_TOLD = 5000

/** What the node sends is from an address of its own, whatever else is known of it. */
const withSender = (surroundings: Surroundings, { bornHere, source }: PacketState): Surroundings =>
  bornHere && !isOwnAddress(surroundings, source)
    ? { ...surroundings, nodeAddresses: [...surroundings.nodeAddresses, source] }
    : surroundings
