import type { Connection, End, Hook, Step } from '@pointsman/core'
import { rewriteDestination, rewriteSource } from './translate.js'
import { ipvsLeadsTo, isIpvsAddress } from './ipvs.js'
import { judgeRule } from './judge-rule.js'
import { commentOf } from './rule-tables.js'
import { ALWAYS, evaluateInCases } from './suppositions.js'
import { dependsOn, isOwnAddress, type PacketState, type PartialWay, seenSource, withStep } from './traced-packet.js'
import { joined } from './cases.js'
import { walkChain, type Walker } from './walk-chain.js'

/** A way that has come to its end. */
export interface EndedWay {
  readonly way: PartialWay
  readonly end: End
}

/** One thing that the kernel does with a packet: asks a table at a hook, or decides where it goes on. */
type Stage =
  | { readonly type: 'table'; readonly hook: Hook; readonly table: string }
  | { readonly type: 'track' | 'route' | 'leave-or-loop' | 'arrive' }

const asked = (hook: Hook, ...tables: readonly string[]): readonly Stage[] =>
  tables.map((table) => ({ type: 'table', hook, table }))

const tracked = (hook: Hook): readonly Stage[] => [...asked(hook, 'raw'), { type: 'track' }]

/** In the order of the kernel's priorities: raw, conntrack, mangle, destination nat, filter, security, source nat. */
const ARRIVES: readonly Stage[] = [...tracked('PREROUTING'), ...asked('PREROUTING', 'mangle', 'nat'), { type: 'route' }]
const IS_TAKEN_IN: readonly Stage[] = [...asked('INPUT', 'mangle', 'filter', 'security', 'nat'), { type: 'arrive' }]
const IS_SENT: readonly Stage[] = [
  ...tracked('OUTPUT'),
  ...asked('OUTPUT', 'mangle', 'nat', 'filter', 'security'),
  { type: 'route' },
]
const LEAVES: readonly Stage[] = [...asked('POSTROUTING', 'mangle', 'nat'), { type: 'leave-or-loop' }]
const IS_FORWARDED: readonly Stage[] = [...asked('FORWARD', 'mangle', 'filter', 'security'), ...LEAVES]
/** By way of lo. conntrack knows the packet already: neither raw nor nat has a say in its connection. */
const COMES_BACK: readonly Stage[] = [
  ...asked('PREROUTING', 'raw', 'mangle'),
  ...asked('INPUT', 'mangle', 'filter', 'security'),
  { type: 'arrive' },
]

/** All ways of a packet through the hooks of a node, in the order of the rules that part them. */
export function throughHooks(
  walker: Walker,
  start: PartialWay,
  connection: Connection | undefined,
): readonly EndedWay[] {
  const stages = start.packet.bornHere ? IS_SENT : ARRIVES
  const { tracking, outInterface } = start.packet
  const trip = { walker, connection, tracking, outInterface }
  // To the raw table, a packet that conntrack has not seen is one that it cannot place.
  const packet = { ...start.packet, tracking: 'INVALID' as const, outInterface: '' }
  return advance(trip, [toInterface(trip, { ...start, packet })], stages)
}

interface Trip {
  readonly walker: Walker
  readonly connection: Connection | undefined
  /** What conntrack will say of it. */
  readonly tracking: PacketState['tracking']
  /** By which it leaves, if it does. */
  readonly outInterface: string | undefined
}

/** Ways that differ by chance continue one by one, which keeps their order; others continue together, so that they can join. */
function advance(trip: Trip, ways: readonly PartialWay[], stages: readonly Stage[]): readonly EndedWay[] {
  if (ways.length > 1 && ways.every(({ when }) => when === ALWAYS))
    return ways.flatMap((way) => advance(trip, [way], stages))
  const [stage, ...rest] = stages
  if (stage === undefined) throw new Error('a way ends by arriving')
  switch (stage.type) {
    case 'table': {
      const outcomes = ways.flatMap((way) => throughTable(trip, way, stage))
      // What ends here comes before what continues only where the choice is not by chance.
      if (outcomes.every(({ way }) => way.when === ALWAYS)) {
        return outcomes.flatMap(({ way, end }) => (end === undefined ? advance(trip, [way], rest) : [{ way, end }]))
      }
      const ended = outcomes.flatMap(({ way, end }) => (end === undefined ? [] : [{ way, end }]))
      const goOn = outcomes.flatMap(({ way, end }) => (end === undefined ? [{ way }] : []))
      const together = joined(goOn, { table: stage.table, chain: stage.hook, depth: 0 }).map(({ way }) => way)
      return [...ended, ...(together.length === 0 ? [] : advance(trip, together, rest))]
    }
    case 'track':
      return advance(
        trip,
        ways.map((way) => {
          const { packet } = way
          const tracking = packet.tracking === 'UNTRACKED' ? packet.tracking : trip.tracking
          return { ...way, packet: { ...packet, tracking } }
        }),
        rest,
      )
    case 'route':
      return goingOn(
        trip,
        ways.flatMap((way) => routed(trip, way)),
      )
    case 'leave-or-loop':
      return goingOn(
        trip,
        ways.map((way) => leaving(trip, way)),
      )
    case 'arrive':
      return ways.map((way) => arrived(trip, way))
  }
}

/** A way, and where it goes on. */
interface GoingOn {
  readonly way: PartialWay
  readonly stages: readonly Stage[]
}

const ENDS: readonly Stage[] = [{ type: 'arrive' }]

function goingOn(trip: Trip, all: readonly GoingOn[]): readonly EndedWay[] {
  if (all.every(({ way }) => way.when === ALWAYS)) return all.flatMap(({ way, stages }) => advance(trip, [way], stages))
  const groups = new Map<readonly Stage[], PartialWay[]>()
  for (const { way, stages } of all) {
    const group = groups.get(stages)
    if (group === undefined) groups.set(stages, [way])
    else group.push(way)
  }
  return [...groups].flatMap(([stages, ways]) => advance(trip, ways, stages))
}

function leaving(trip: Trip, way: PartialWay): GoingOn {
  const { packet } = way
  if (!packet.bornHere || !isOwnAddress(trip.walker.surroundings, packet.destination)) return { way, stages: ENDS }
  const confirmed = packet.tracking === 'NEW' || packet.tracking === 'ESTABLISHED'
  const back = { ...way, packet: { ...packet, inInterface: 'lo', outInterface: '', confirmed } }
  return { way: withStep(back, { type: 'routing', to: 'node', because: 'it comes back by lo' }), stages: COMES_BACK }
}

interface TableOutcome {
  readonly way: PartialWay
  readonly end?: End
}

function throughTable(
  trip: Trip,
  way: PartialWay,
  { hook, table }: Extract<Stage, { type: 'table' }>,
): readonly TableOutcome[] {
  const { walker } = trip
  const chain = walker.tables.chain(table, hook)
  if (table === 'nat' && way.packet.tracking !== 'NEW')
    return [{ way: known(trip, way, { hook, isAsked: chain !== undefined }) }]
  if (chain === undefined) return [{ way }]
  const { policy, rules } = chain
  const entered = withStep(way, { type: 'table', hook, table, rules: rules.length, policy })
  const outcomes = walkChain(walker, { table, chain: hook, hook, depth: 0, trail: [hook] }, entered)
  return outcomes.map(({ way: after, verdict }): TableOutcome => {
    if (verdict === 'done') return { way: after }
    if (verdict !== 'return') return { way: after, end: verdict }
    const decided = withStep(after, { type: 'policy', table, chain: hook, policy })
    return policy === 'DROP' ? { way: decided, end: { fate: 'dropped', by: { table, chain: hook } } } : { way: decided }
  })
}

/** nat is asked for first packets alone: later ones are rewritten as conntrack has it. */
function known(
  { walker, connection }: Trip,
  way: PartialWay,
  { hook, isAsked }: { readonly hook: Hook; readonly isAsked: boolean },
): PartialWay {
  const { packet } = way
  if (!isAsked && connection === undefined) return way
  const isFirst = hook === 'PREROUTING' || hook === 'OUTPUT'
  const unasked: Step = {
    type: 'unasked',
    hook,
    table: 'nat',
    because: `the packet is ${packet.tracking}: the nat table is consulted for the first packet of a connection only`,
    ...(packet.untrackedBy !== undefined &&
      isFirst && {
        rules: `${packet.untrackedBy} takes the packet out of conntrack, so that the nat table is not consulted${unaskedRule(walker, packet)}`,
      }),
  }
  const passed = isAsked ? withStep(way, unasked) : way
  if (packet.tracking !== 'ESTABLISHED') return passed
  const rewritesDestination = hook === 'PREROUTING' || hook === 'OUTPUT'
  if (connection === undefined) {
    walker.assume({
      code: 'CONNECTION',
      message: 'how conntrack rewrites the connection is not known: taken to leave its addresses alone',
    })
    return passed
  }
  if (!rewritesDestination && connection.source === undefined) return passed
  const applied = rewritesDestination
    ? rewriteDestination(packet, connection.destination)
    : rewriteSource(packet, { by: 'SNAT', address: connection.source, newPort: false })
  return withStep({ ...passed, packet: applied.packet }, { type: 'conntrack', effect: applied.effect })
}

/** The first rule of nat that names the packet's destination and would match, in words. */
function unaskedRule({ tables, surroundings }: Walker, packet: PacketState): string {
  for (const { chain, rules } of tables.chains('nat')) {
    for (const [index, { rule }] of rules.entries()) {
      if (rule.destination === undefined || rule.destination.negated || rule.target === undefined) continue
      const { matches, unknown } = judgeRule(rule, { packet, surroundings, supposed: undefined })
      if (!matches || unknown !== undefined) continue
      const comment = commentOf(rule)
      return `: rule ${index + 1} of nat ${chain}${comment === '' ? '' : `, "${comment}",`} would match otherwise`
    }
  }
  return ''
}

/** Where a packet goes on: of an address that IPVS may have taken for a Service, it can be both. */
function routed(trip: Trip, way: PartialWay): readonly GoingOn[] {
  const { packet } = way
  const { walker } = trip
  if (packet.socket !== undefined) {
    const message =
      'what TPROXY gives to a socket is taken to be routed to the node, as `ip rule` and its mark have to say'
    walker.assume({ code: 'POLICY_ROUTING', message })
    const because = `TPROXY gave it to ${packet.socket}`
    return [{ way: withStep(way, { type: 'routing', to: 'node', because }), stages: IS_TAKEN_IN }]
  }
  if (isOwnAddress(walker.surroundings, packet.destination)) {
    return [routedTo(trip, way, `${packet.destination} is one of the node's own addresses`, true)]
  }
  const others = `${packet.destination} is none of the node's own addresses`
  if (walker.ipvs === undefined) return [routedTo(trip, way, others, false)]
  const cases = evaluateInCases<boolean>(way.when, (supposed) => isIpvsAddress(walker, packet, supposed), {
    keyOf: String,
    spend: () => walker.effort.passed(),
  })
  return cases.map(({ value, when }) =>
    routedTo(trip, { ...way, when }, value ? `${packet.destination} is on kube-ipvs0, for IPVS` : others, value),
  )
}

function routedTo(trip: Trip, way: PartialWay, because: string, isOwn: boolean): GoingOn {
  const { packet } = way
  const decided = (to: 'node' | 'forward' | 'out', next: PartialWay, stages: readonly Stage[]): GoingOn => ({
    way: withStep(next, { type: 'routing', to, because }),
    stages,
  })
  if (packet.bornHere) return decided('out', toInterface(trip, way), LEAVES)
  if (!isOwn) return decided('forward', leavingBy(trip.outInterface, way), IS_FORWARDED)
  if (isLoopback(packet.destination)) {
    const message = `the kernel is taken to let packets from elsewhere get to ${packet.destination} (route_localnet)`
    trip.walker.assume({ code: 'LOOPBACK', message })
  }
  return decided('node', way, IS_TAKEN_IN)
}

/** What the node sends to itself goes by lo. */
function toInterface({ walker: { surroundings }, outInterface }: Trip, way: PartialWay): PartialWay {
  const { packet } = way
  if (!packet.bornHere) return way
  return leavingBy(isOwnAddress(surroundings, packet.destination) ? 'lo' : outInterface, way)
}

const leavingBy = (outInterface: string | undefined, way: PartialWay): PartialWay => ({
  ...way,
  packet: { ...way.packet, outInterface },
})

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.')

function arrived({ walker }: Trip, way: PartialWay): EndedWay {
  const { packet } = way
  const { destination, destinationPort, translated, socket } = packet
  if (socket !== undefined) return { way, end: dependsOn(socket, packet) }
  if (!translated && ipvsLeadsTo(walker, way)) return { way, end: dependsOn('IPVS', packet) }
  return {
    way,
    end: {
      fate: translated ? 'endpoints' : 'no-service',
      address: destination,
      port: destinationPort,
      source: seenSource(packet),
    },
  }
}
