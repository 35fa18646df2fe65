import { assertNever } from '../model/language.js'
import type { Connection } from '../ports/trace-question.js'
import type { End, Hook, Step } from '../ports/trace.js'
import { joined } from './cases.js'
import { dependsOn, isOwnAddress, type PacketState, type PartialWay, seenSource, withStep } from './packet-state.js'
import { ALWAYS, type Case, type Evaluated, evaluateInCases } from './suppositions.js'
import { rewriteDestination, rewriteSource } from './translate.js'
import type { ChainOutcome, WalkContext } from './walk-chain.js'

/** A way that has come to its end. */
export interface EndedWay {
  readonly way: PartialWay
  readonly end: End
}

/** A chain that the kernel asks at a hook. */
export interface BaseChain {
  readonly hook: Hook
  /** Of chains at one hook, the lowest is asked first; of equal ones, the first in the list. */
  readonly priority: number
  /** It is asked for the first packet of a connection alone, where conntrack looks for a translation: between the others' priorities. */
  readonly isNat: boolean
  readonly table: string
  /** Its name, where that is not the hook's. */
  readonly chain?: string | undefined
  readonly rules: number
  readonly policy: 'ACCEPT' | 'DROP'
  readonly walk: (way: PartialWay) => readonly ChainOutcome[]
  /**
   * Set where iptables made it, with the name of its table there: `listed`, it was read from iptables' own listing; else it is a chain of
   * iptables-nft that nft lists as well.
   */
  readonly ofIptables?: { readonly table: string; readonly listed?: 'nft' | 'legacy' | 'either' } | undefined
}

/** What takes packets to endpoints beside rules. */
export interface OtherProxy {
  /** `IPVS` */
  readonly name: string
  /** Whether it has made an address that is none of the node's interfaces' one of the node. */
  readonly hasAddress: (packet: PacketState, supposed: Case | undefined) => Evaluated<boolean>
  /** Why the packet is taken to be for the node then. */
  readonly because: (packet: PacketState) => string
  /** Whether it may be what takes the packet on. */
  readonly leadsTo: (way: PartialWay) => boolean
}

/** The rules of a node, of one rule system or several. */
export interface NodeRules {
  readonly chains: readonly BaseChain[]
  /** Tables that a whole listing has, and this one has not: they are taken to be empty. */
  readonly missing?: readonly string[] | undefined
  readonly otherProxy?: OtherProxy | undefined
  /** Of a packet that is not tracked: words about the rule of a nat chain that would match it otherwise. Empty: none is known. */
  readonly missedNat?: ((packet: PacketState) => string) | undefined
}

/** One thing that the kernel does with a packet: asks a chain at a hook, or decides where it goes on. */
type Stage =
  | { readonly type: 'chain'; readonly chain: BaseChain }
  | { readonly type: 'nat'; readonly hook: Hook; readonly chains: readonly BaseChain[] }
  | { readonly type: 'track' | 'route' | 'leave-or-loop' | 'arrive' }

/** NF_IP_PRI_CONNTRACK, _NAT_DST and _NAT_SRC. */
const TRACKING = -200
const NAT = { PREROUTING: -100, OUTPUT: -100, INPUT: 100, POSTROUTING: 100, FORWARD: undefined } as const

interface Stages {
  readonly arrives: readonly Stage[]
  readonly isTakenIn: readonly Stage[]
  readonly isSent: readonly Stage[]
  readonly isForwarded: readonly Stage[]
  readonly leaves: readonly Stage[]
  readonly comesBack: readonly Stage[]
}

function stagesOf({ chains }: NodeRules): Stages {
  const at = (hook: Hook, isKnown = false): readonly Stage[] => {
    const all = chains.filter((chain) => chain.hook === hook).toSorted((a, b) => a.priority - b.priority)
    const stages = all
      .filter(({ isNat }) => !isNat)
      .map((chain) => ({ priority: chain.priority, stage: { type: 'chain' as const, chain } as Stage }))
    if (isKnown) return stages.map(({ stage }) => stage)
    const own: { readonly priority: number; readonly stage: Stage }[] = []
    if (hook === 'PREROUTING' || hook === 'OUTPUT') own.push({ priority: TRACKING, stage: { type: 'track' } })
    const nat = NAT[hook]
    if (nat !== undefined)
      own.push({ priority: nat, stage: { type: 'nat', hook, chains: all.filter(({ isNat }) => isNat) } })
    return [...own, ...stages].toSorted((a, b) => a.priority - b.priority).map(({ stage }) => stage)
  }
  const leaves: readonly Stage[] = [...at('POSTROUTING'), { type: 'leave-or-loop' }]
  return {
    arrives: [...at('PREROUTING'), { type: 'route' }],
    isTakenIn: [...at('INPUT'), { type: 'arrive' }],
    isSent: [...at('OUTPUT'), { type: 'route' }],
    isForwarded: [...at('FORWARD'), ...leaves],
    leaves,
    // By way of lo. conntrack knows the packet already: nat has no say in its connection.
    comesBack: [...at('PREROUTING', true), ...at('INPUT', true), { type: 'arrive' }],
  }
}

/** All ways of a packet through the hooks of a node, in the order of the rules that part them. */
export function throughHooks(
  context: WalkContext,
  rules: NodeRules,
  { start, connection }: { readonly start: PartialWay; readonly connection: Connection | undefined },
): readonly EndedWay[] {
  const { tracking, outInterface } = start.packet
  const stages = stagesOf(rules)
  const trip: Trip = { context, rules, stages, connection, tracking, outInterface }
  // To rules before conntrack, a packet that it has not seen is one that it cannot place.
  const packet = { ...start.packet, tracking: 'INVALID' as const, outInterface: '' }
  return advance(
    trip,
    [toInterface(trip, { ...start, packet })],
    start.packet.bornHere ? stages.isSent : stages.arrives,
  )
}

interface Trip {
  readonly context: WalkContext
  readonly rules: NodeRules
  readonly stages: Stages
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
    case 'chain':
    case 'nat': {
      const outcomes = ways.flatMap((way) =>
        stage.type === 'nat' ? throughNat(trip, way, stage) : throughChain(way, stage.chain),
      )
      // What ends here comes before what continues only where the choice is not by chance.
      if (outcomes.every(({ way }) => way.when === ALWAYS)) {
        return outcomes.flatMap(({ way, end }) => (end === undefined ? advance(trip, [way], rest) : [{ way, end }]))
      }
      const ended = outcomes.flatMap(({ way, end }) => (end === undefined ? [] : [{ way, end }]))
      const goOn = outcomes.flatMap(({ way, end }) => (end === undefined ? [{ way }] : []))
      const together = joined(goOn, placeOf(stage)).map(({ way }) => way)
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
    default:
      return assertNever(stage)
  }
}

function placeOf(stage: Extract<Stage, { type: 'chain' | 'nat' }>): {
  readonly table: string
  readonly chain: string
  readonly depth: 0
} {
  if (stage.type === 'chain')
    return { table: stage.chain.table, chain: stage.chain.chain ?? stage.chain.hook, depth: 0 }
  return { table: stage.chains[0]?.table ?? 'nat', chain: stage.chains[0]?.chain ?? stage.hook, depth: 0 }
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
  if (!packet.bornHere || !isOwnAddress(trip.context.surroundings, packet.destination)) return { way, stages: ENDS }
  const confirmed = packet.tracking === 'NEW' || packet.tracking === 'ESTABLISHED'
  const back = { ...way, packet: { ...packet, inInterface: 'lo', outInterface: '', confirmed } }
  return {
    way: withStep(back, { type: 'routing', to: 'node', because: 'it comes back by lo' }),
    stages: trip.stages.comesBack,
  }
}

interface TableOutcome {
  readonly way: PartialWay
  readonly end?: End
  /** An address was rewritten: no other nat chain is asked at this hook. */
  readonly isTranslated?: boolean
}

function throughChain(
  way: PartialWay,
  { hook, table, chain, rules, policy, walk }: BaseChain,
): readonly TableOutcome[] {
  const named = chain === undefined ? {} : { chain }
  const entered = withStep(way, { type: 'table', hook, table, ...named, rules, policy })
  return walk(entered).map(({ way: after, verdict }): TableOutcome => {
    if (verdict === 'done') return { way: after }
    if (verdict === 'translated') return { way: after, isTranslated: true }
    if (verdict !== 'return') return { way: after, end: verdict }
    const name = chain ?? hook
    const decided = withStep(after, { type: 'policy', table, chain: name, policy })
    return policy === 'DROP' ? { way: decided, end: { fate: 'dropped', by: { table, chain: name } } } : { way: decided }
  })
}

/** The nat chains of a hook, one after the other until one of them rewrites an address. */
function throughNat(
  trip: Trip,
  way: PartialWay,
  { hook, chains }: Extract<Stage, { type: 'nat' }>,
): readonly TableOutcome[] {
  if (way.packet.tracking !== 'NEW') return [{ way: known(trip, way, { hook, chains }) }]
  let open: readonly TableOutcome[] = [{ way }]
  const ended: TableOutcome[] = []
  for (const chain of chains) {
    const outcomes = open.flatMap((one) => throughChain(one.way, chain))
    open = outcomes.filter(({ end, isTranslated }) => end === undefined && isTranslated !== true)
    // One chain is nearly always all there is: its outcomes keep their order.
    if (chains.length === 1) return outcomes
    for (const outcome of outcomes) if (!open.includes(outcome)) ended.push(outcome)
  }
  return [...ended, ...open]
}

/** nat is asked for first packets alone: later ones are rewritten as conntrack has it. */
function known(
  { context, connection, rules }: Trip,
  way: PartialWay,
  { hook, chains }: { readonly hook: Hook; readonly chains: readonly BaseChain[] },
): PartialWay {
  const { packet } = way
  if (chains.length === 0 && connection === undefined) return way
  const isFirst = hook === 'PREROUTING' || hook === 'OUTPUT'
  let passed = way
  for (const { table, chain } of chains) {
    const unasked: Step = {
      type: 'unasked',
      hook,
      table,
      ...(chain !== undefined && { chain }),
      because: `the packet is ${packet.tracking}: the nat table is consulted for the first packet of a connection only`,
      ...(packet.untrackedBy !== undefined &&
        isFirst && {
          rules: `${packet.untrackedBy} takes the packet out of conntrack, so that the nat table is not consulted${rules.missedNat?.(packet) ?? ''}`,
        }),
    }
    passed = withStep(passed, unasked)
  }
  if (packet.tracking !== 'ESTABLISHED') return passed
  const rewritesDestination = hook === 'PREROUTING' || hook === 'OUTPUT'
  if (connection === undefined) {
    context.assume({
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

/** Where a packet goes on: of an address that another proxy may have taken for a Service, it can be both. */
function routed(trip: Trip, way: PartialWay): readonly GoingOn[] {
  const { packet } = way
  const { context, stages } = trip
  const { otherProxy } = trip.rules
  if (packet.socket !== undefined) {
    const message =
      'what TPROXY gives to a socket is taken to be routed to the node, as `ip rule` and its mark have to say'
    context.assume({ code: 'POLICY_ROUTING', message })
    const because = `TPROXY gave it to ${packet.socket}`
    return [{ way: withStep(way, { type: 'routing', to: 'node', because }), stages: stages.isTakenIn }]
  }
  if (isOwnAddress(context.surroundings, packet.destination)) {
    return [routedTo(trip, way, `${packet.destination} is one of the node's own addresses`, true)]
  }
  const others = `${packet.destination} is none of the node's own addresses`
  if (otherProxy === undefined) return [routedTo(trip, way, others, false)]
  const cases = evaluateInCases<boolean>(way.when, (supposed) => otherProxy.hasAddress(packet, supposed), {
    keyOf: String,
    spend: () => context.effort.passed(),
  })
  return cases.map(({ value, when }) =>
    routedTo(trip, { ...way, when }, value ? otherProxy.because(packet) : others, value),
  )
}

function routedTo(trip: Trip, way: PartialWay, because: string, isOwn: boolean): GoingOn {
  const { packet } = way
  const decided = (to: 'node' | 'forward' | 'out', next: PartialWay, stages: readonly Stage[]): GoingOn => ({
    way: withStep(next, { type: 'routing', to, because }),
    stages,
  })
  if (packet.bornHere) return decided('out', toInterface(trip, way), trip.stages.leaves)
  if (!isOwn) return decided('forward', leavingBy(trip.outInterface, way), trip.stages.isForwarded)
  if (isLoopback(packet.destination)) {
    const message = `the kernel is taken to let packets from elsewhere get to ${packet.destination} (route_localnet)`
    trip.context.assume({ code: 'LOOPBACK', message })
  }
  return decided('node', way, trip.stages.isTakenIn)
}

/** What the node sends to itself goes by lo. */
function toInterface({ context: { surroundings }, outInterface }: Trip, way: PartialWay): PartialWay {
  const { packet } = way
  if (!packet.bornHere) return way
  return leavingBy(isOwnAddress(surroundings, packet.destination) ? 'lo' : outInterface, way)
}

const leavingBy = (outInterface: string | undefined, way: PartialWay): PartialWay => ({
  ...way,
  packet: { ...way.packet, outInterface },
})

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.')

function arrived({ rules: { otherProxy } }: Trip, way: PartialWay): EndedWay {
  const { packet } = way
  const { destination, destinationPort, translated, socket } = packet
  if (socket !== undefined) return { way, end: dependsOn(socket, packet) }
  if (!translated && otherProxy?.leadsTo(way) === true) return { way, end: dependsOn(otherProxy.name, packet) }
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
