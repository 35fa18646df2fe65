import {
  TraceError,
  type Assumption,
  type Surroundings,
  type Trace,
  type TracedRule,
  type TraceQuestion,
  type Way,
} from '@pointsman/core'
import { casesOf, dependencesOf, endpointsOfCases, fatesOfCases } from './cases.js'
import { throughHooks, type EndedWay } from './hooks.js'
import { ipsetsIn } from './ip-sets.js'
import { ipvsSetsIn } from './ipvs.js'
import { ruleTablesOf, toldRule, type OwnedRule, type OwnedTable, type RuleTables } from './rule-tables.js'
import { ALWAYS, suppositionOf, suppositionsOf, withClaim, type Claim, type When } from './suppositions.js'
import { checkTold, createEffort } from './trace-effort.js'
import { isOwnAddress, startOf, stepsOf, wayOf, type PacketState, type PartialWay } from './traced-packet.js'
import type { Walker } from './walk-chain.js'

/** A question with the rules: what iptables-save printed, of the packet's family, kube-proxy's rules or anybody's. */
export interface TablesQuestion extends TraceQuestion {
  readonly tables: readonly OwnedTable[]
}

/**
 * The way of a packet through rules, as the kernel goes it: every hook, table, chain and rule that it meets, in order. Where
 * chance decides, each way is reported with its exact odds. An unknown fact that a rule tests is assumed, and the assumption is listed.
 * Knows nothing of Services: the rules are all that it looks at. Throws a TraceError for what is no packet, or no rules that a
 * kernel would take.
 */
export function tracePacket({ tables, packet, surroundings, everyRule = false }: TablesQuestion): Trace {
  const start = startOf(packet)
  const ruleTables = ruleTablesOf(tables)
  checkFamily(tables, start)
  // What is wrong with them is said also where no rule asks for one.
  ipsetsIn(surroundings)
  const assumptions = new Map<string, Assumption>()
  const assume = (assumption: Assumption): void => void assumptions.set(assumption.message, assumption)
  for (const assumption of missingTables(ruleTables)) assume(assumption)
  const walker: Walker = {
    tables: ruleTables,
    surroundings: withSender(surroundings, start),
    everyRule,
    assume,
    tell: createTeller(),
    effort: createEffort(),
    ipvs: ipvsSetsIn(ruleTables),
  }
  const ended = startsOf(walker.surroundings, start)
    .flatMap((one) => throughHooks({ ...walker, surroundings: one.surroundings }, one.way, packet.connection))
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
}

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

/** Puts each rule into words once: many ways may meet it. */
function createTeller(): Walker['tell'] {
  const told = new Map<OwnedRule, TracedRule>()
  return (chain, owned) => {
    const known = told.get(owned)
    if (known !== undefined) return known
    const rule = toldRule(chain, owned)
    told.set(owned, rule)
    return rule
  }
}

/** What the node sends is from an address of its own, whatever else is known of it. */
const withSender = (surroundings: Surroundings, { bornHere, source }: PacketState): Surroundings =>
  bornHere && !isOwnAddress(surroundings, source)
    ? { ...surroundings, nodeAddresses: [...surroundings.nodeAddresses, source] }
    : surroundings

/** Those that nearly every node has rules in. */
const missingTables = (tables: RuleTables): readonly Assumption[] =>
  ['nat', 'filter']
    .filter((table) => !tables.has(table))
    .map((table) => ({ code: 'TABLE_MISSING', message: `the rules have no table ${table}: it is taken to be empty` }))

/** Rules of the other family would match nothing, and an answer from them would be wrong. */
function checkFamily(tables: readonly OwnedTable[], { family, destination }: PacketState): void {
  for (const { chains } of tables) {
    for (const { rules } of chains) {
      for (const { rule } of rules) {
        const network = (rule.destination ?? rule.source)?.network
        if (network === undefined) continue
        const ofRule = network.includes(':') ? 'IPv6' : 'IPv4'
        if (ofRule === family) return
        const hint = family === 'IPv6' ? 'give what ip6tables-save prints' : 'give what iptables-save prints'
        throw new TraceError('OTHER_FAMILY', `the rules are ${ofRule}, and ${destination} is ${family}: ${hint}`)
      }
    }
  }
}
