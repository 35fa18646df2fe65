import { type Assumption, bothOdds, CERTAIN, type Condition, type Odds } from '@pointsman/core'
import {
  type Case,
  type Claim,
  type Finding,
  isHost,
  type Judged,
  judgeInterface,
  judgeSource,
  known,
  negatedIf,
  networkContains,
  type PacketState,
} from '@pointsman/core/trace'
import { formatRule, type Match, type Rule } from 'node-iptables'
import { judgeMatch } from './judge-match.js'
import { afterRecent } from './judge-connection.js'

/** What a rule comes to for a packet. */
export interface Judgement {
  readonly matches: boolean
  /** What has to be decided first. */
  readonly unknown: Claim | undefined
  /** The odds of matching where it does: chance may be a part of it. */
  readonly odds: Odds
  readonly conditions: readonly Condition[]
  /** What was taken for granted, where that decides. */
  readonly assumptions: readonly Assumption[]
  /** The packet where the rule matches, and where it does not: trying `-m recent` leaves its traces either way. */
  readonly packet: PacketState
  readonly passed: PacketState
  /** Whether one of them is another than it was. */
  readonly changes: boolean
  readonly supposed: Case | undefined
}

/** What a rule comes to in a case. Unknown: the claim has to be decided first, and `conditions` tell what is known until then. */
export function judgeRule(rule: Rule, judged: Judged): Judgement {
  const { packet, supposed } = judged
  const general = generalConditions(rule, judged)
  const tried = tryMatches(rule, judged, { isReached: general.every(({ finding }) => finding.holds) })
  const asked = [...general, ...tried.asked]
  const findings = asked.map(({ finding }) => finding)
  const fails = findings.filter(({ holds, unknown }) => !holds && unknown === undefined)
  // A rule that fails by what is known fails whatever the rest is.
  const isDecided = fails.some(({ assumption }) => assumption === undefined)
  const isOpen = fails.length === 0 || (leavesTraces(rule) && general.every(({ finding }) => finding.holds))
  const unknown = isOpen ? findings.find((finding) => finding.unknown !== undefined)?.unknown : undefined
  return {
    matches: fails.length === 0,
    unknown,
    odds: findings.reduce(
      (odds, finding) => (finding.odds === undefined ? odds : bothOdds(odds, finding.odds)),
      CERTAIN,
    ),
    conditions: asked.map(({ part, finding }) => ({
      ...aboutOf(part),
      text: formatRule(part),
      holds: finding.holds,
      because: finding.because,
      assumed: finding.assumption !== undefined,
      ...(finding.supposed === true && { supposed: true }),
      ...(finding.unknown !== undefined && { open: true }),
    })),
    assumptions: isDecided ? [] : findings.flatMap(({ assumption }) => assumption ?? []),
    packet: tried.packet,
    passed: tried.passed,
    changes: tried.packet !== packet || tried.passed !== packet,
    supposed,
  }
}

/** Trying it changes a list of `-m recent`, also where it then fails. */
const leavesTraces = ({ matches }: Rule): boolean =>
  matches.some((match) => match.type === 'recent' && match.operation !== 'rcheck')

/** Whether it plainly fails, without a trace: nearly every rule of a large chain does, and no words are made for it. */
export function failsPlainly(rule: Rule, packet: PacketState): boolean {
  const { destination, protocol, source, matches } = rule
  if (destination !== undefined && networkContains(destination.network, packet.destination) === destination.negated)
    return true
  if (protocol !== undefined && (protocol.name === packet.protocol) === protocol.negated) return true
  if (
    source !== undefined &&
    packet.unknownSource === undefined &&
    networkContains(source.network, packet.source) === source.negated
  )
    return true
  return matches.some((match) => isOtherPort(match, packet)) && !matches.some(({ type }) => type === 'recent')
}

/** Whether a rule that fails is about what the packet is sent to: its address, or its port where it names no address. */
export function nearlyMatches({ destination, matches }: Rule, packet: PacketState): boolean {
  if (destination !== undefined) {
    return (
      !destination.negated && isHost(destination.network) && networkContains(destination.network, packet.destination)
    )
  }
  return matches.some((match) => namesPort(match) && !isOtherPort(match, packet))
}

const namesPort = (match: Match): boolean => 'destination' in match && 'first' in (match.destination ?? {})

function isOtherPort(match: Match, { protocol, destinationPort }: PacketState): boolean {
  if (match.type !== 'tcp' && match.type !== 'udp' && match.type !== 'sctp') return false
  if (match.type !== protocol) return true
  const { destination } = match
  if (destination === undefined) return false
  return (destination.first <= destinationPort && destinationPort <= destination.last) === destination.negated
}

/** What a condition is about, and the value that it asks for. */
function aboutOf({
  source,
  destination,
  inInterface,
  outInterface,
  protocol,
  matches: [match],
}: Rule): Pick<Condition, 'field' | 'value'> {
  if (source !== undefined) return { field: 'source', ...valueOf(source) }
  if (destination !== undefined) return { field: 'destination', ...valueOf(destination) }
  if (inInterface !== undefined || outInterface !== undefined) return { field: 'interface' }
  if (protocol !== undefined) return { field: 'protocol', ...(!protocol.negated && { value: protocol.name }) }
  if (match?.type !== 'tcp' && match?.type !== 'udp' && match?.type !== 'sctp') return { field: 'other' }
  const ports = match.destination
  if (ports === undefined || ports.negated) return { field: 'port' }
  const { first, last } = ports
  return { field: 'port', value: `${match.type} ${first === last ? first : `${first}:${last}`}` }
}

const valueOf = ({ network, negated }: NonNullable<Rule['destination']>): Pick<Condition, 'value'> =>
  negated || !isHost(network) ? {} : { value: network.slice(0, network.indexOf('/')) }

interface Asked {
  /** The condition alone, as a rule. */
  readonly part: Rule
  readonly finding: Finding
}

function generalConditions(rule: Rule, judged: Judged): readonly Asked[] {
  const { packet } = judged
  const { source, destination, inInterface, outInterface, protocol, fragment } = rule
  const asked: Asked[] = []
  const ask = (part: Omit<Rule, 'matches'>, finding: Finding): void =>
    void asked.push({ part: { ...part, matches: [] }, finding })
  if (source !== undefined) ask({ source }, negatedIf(source.negated, judgeSource(source.network, judged)))
  if (destination !== undefined) {
    const isIn = networkContains(destination.network, packet.destination)
    ask({ destination }, negatedIf(destination.negated, known(isIn, `the destination is ${packet.destination}`)))
  }
  if (inInterface !== undefined) ask({ inInterface }, judgeInterface(inInterface, 'in', judged))
  if (outInterface !== undefined) ask({ outInterface }, judgeInterface(outInterface, 'out', judged))
  if (protocol !== undefined) {
    const isSame = protocol.name === packet.protocol
    ask({ protocol }, negatedIf(protocol.negated, known(isSame, `the protocol is ${packet.protocol}`)))
  }
  if (fragment !== undefined) ask({ fragment }, negatedIf(fragment.negated, known(false, 'it is whole')))
  return asked
}

interface Tried {
  readonly asked: readonly Asked[]
  readonly packet: PacketState
  readonly passed: PacketState
}

/** The matches in their order: one that fails keeps those after it from being tried. They are judged all the same. */
function tryMatches({ matches }: Rule, judged: Judged, start: { readonly isReached: boolean }): Tried {
  const asked: Asked[] = []
  let { packet } = judged
  let { isReached } = start
  let isByChance = false
  let passed = packet
  for (const match of matches) {
    const finding = judgeMatch(match, { ...judged, packet })
    if (finding === undefined) continue
    asked.push({ part: { matches: [match] }, finding })
    if (isReached && match.type === 'recent') packet = afterRecent(match, packet, finding.holds)
    isByChance ||= finding.odds !== undefined
    // What comes after chance happens only where it falls so.
    if (!isByChance) passed = packet
    isReached &&= finding.holds
  }
  return { asked, packet, passed }
}
