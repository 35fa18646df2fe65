import type { Connection, End, Hook, Step } from '@pointsman/core'
import { rewriteDestination, rewriteSource } from './apply-target.js'
import { isOwnAddress, type PacketState, type PartialWay, withStep } from './traced-packet.js'
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
  return advance(trip, toInterface(trip, { ...start, packet }), stages)
}

interface Trip {
  readonly walker: Walker
  readonly connection: Connection | undefined
  /** What conntrack will say of it. */
  readonly tracking: PacketState['tracking']
  /** By which it leaves, if it does. */
  readonly outInterface: string | undefined
}

function advance(trip: Trip, way: PartialWay, stages: readonly Stage[]): readonly EndedWay[] {
  const [stage, ...rest] = stages
  if (stage === undefined) throw new Error('a way ends by arriving')
  switch (stage.type) {
    case 'table':
      return throughTable(trip, way, stage).flatMap(({ way: after, end }) =>
        end === undefined ? advance(trip, after, rest) : [{ way: after, end }],
      )
    case 'track': {
      const { packet } = way
      const tracking = packet.tracking === 'UNTRACKED' ? packet.tracking : trip.tracking
      return advance(trip, { ...way, packet: { ...packet, tracking } }, rest)
    }
    case 'route':
      return routed(trip, way)
    case 'leave-or-loop': {
      if (!way.packet.bornHere || !isOwnAddress(trip.walker.surroundings, way.packet.destination)) return [arrived(way)]
      const back = { ...way, packet: { ...way.packet, inInterface: 'lo', outInterface: '' } }
      return advance(trip, withStep(back, { type: 'routing', to: 'node', because: 'it comes back by lo' }), COMES_BACK)
    }
    case 'arrive':
      return [arrived(way)]
  }
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
  const outcomes = walkChain(walker, { table, chain: hook, depth: 0, trail: [hook] }, entered)
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
  const unasked: Step = {
    type: 'unasked',
    hook,
    table: 'nat',
    because: `the packet is ${packet.tracking}: nat is asked for the first of a connection`,
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

function routed(trip: Trip, way: PartialWay): readonly EndedWay[] {
  const { packet } = way
  const { surroundings, assume } = trip.walker
  const isOwn = isOwnAddress(surroundings, packet.destination)
  const words = `${packet.destination} is ${isOwn ? "one of the node's own addresses" : "none of the node's own addresses"}`
  const decided = (to: 'node' | 'forward' | 'out', next: PartialWay, stages: readonly Stage[]): readonly EndedWay[] =>
    advance(trip, withStep(next, { type: 'routing', to, because: words }), stages)
  if (packet.bornHere) return decided('out', toInterface(trip, way), LEAVES)
  if (!isOwn) return decided('forward', leavingBy(trip.outInterface, way), IS_FORWARDED)
  if (isLoopback(packet.destination)) {
    const message = `the kernel is taken to let packets from elsewhere get to ${packet.destination} (route_localnet)`
    assume({ code: 'LOOPBACK', message })
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

function arrived(way: PartialWay): EndedWay {
  const { destination, destinationPort, translated, source, sourceRewritten } = way.packet
  return {
    way,
    end: {
      fate: translated ? 'endpoints' : 'no-service',
      address: destination,
      port: destinationPort,
      source:
        sourceRewritten === undefined
          ? { rewritten: 'no', address: source }
          : { rewritten: sourceRewritten.by, address: sourceRewritten.address },
    },
  }
}
