import { type Assumption, bothOdds, CERTAIN, type Condition, type Odds, type Surroundings } from '@pointsman/core'
import { formatRule, type Match, type Rule } from 'node-iptables'
import { type Finding, known, negatedIf } from './finding.js'
import { afterRecent, judgeInterface, judgeMatch } from './judge-match.js'
import { isHost, networkContains, type PacketState } from './traced-packet.js'

/** What a rule comes to for a packet. */
export interface Judgement {
  readonly matches: boolean
  /** The odds of matching where it does: chance may be a part of it. */
  readonly odds: Odds
  readonly conditions: readonly Condition[]
  /** What was taken for granted, where that decides. */
  readonly assumptions: readonly Assumption[]
  /** The packet where the rule matches, and where it does not: trying `-m recent` leaves its traces either way. */
  readonly packet: PacketState
  readonly passed: PacketState
}

export function judgeRule(rule: Rule, packet: PacketState, surroundings: Surroundings): Judgement {
  const general = generalConditions(rule, packet)
  const tried = tryMatches(rule, { packet, surroundings, isReached: general.every(({ finding }) => finding.holds) })
  const asked = [...general, ...tried.asked]
  const findings = asked.map(({ finding }) => finding)
  // A rule that fails by what is known fails whatever the rest is.
  const isDecided = findings.some(({ holds, assumption }) => !holds && assumption === undefined)
  return {
    matches: findings.every(({ holds }) => holds),
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
    })),
    assumptions: isDecided ? [] : findings.flatMap(({ assumption }) => assumption ?? []),
    packet: tried.packet,
    passed: tried.passed,
  }
}

/** Whether it plainly fails, without a trace: nearly every rule of a large chain does, and no words are made for it. */
export function failsPlainly(rule: Rule, packet: PacketState): boolean {
  const { destination, protocol, source, matches } = rule
  if (destination !== undefined && networkContains(destination.network, packet.destination) === destination.negated)
    return true
  if (protocol !== undefined && (protocol.name === packet.protocol) === protocol.negated) return true
  if (source !== undefined && networkContains(source.network, packet.source) === source.negated) return true
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

function generalConditions(rule: Rule, packet: PacketState): readonly Asked[] {
  const { source, destination, inInterface, outInterface, protocol, fragment } = rule
  const asked: Asked[] = []
  const ask = (part: Omit<Rule, 'matches'>, finding: Finding): void =>
    void asked.push({ part: { ...part, matches: [] }, finding })
  if (source !== undefined) {
    const isIn = networkContains(source.network, packet.source)
    ask({ source }, negatedIf(source.negated, known(isIn, `the source is ${packet.source}`)))
  }
  if (destination !== undefined) {
    const isIn = networkContains(destination.network, packet.destination)
    ask({ destination }, negatedIf(destination.negated, known(isIn, `the destination is ${packet.destination}`)))
  }
  if (inInterface !== undefined) ask({ inInterface }, judgeInterface(inInterface, 'in', packet))
  if (outInterface !== undefined) ask({ outInterface }, judgeInterface(outInterface, 'out', packet))
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
function tryMatches(
  { matches }: Rule,
  start: { readonly packet: PacketState; readonly surroundings: Surroundings; readonly isReached: boolean },
): Tried {
  const asked: Asked[] = []
  let { packet, isReached } = start
  let isByChance = false
  let passed = packet
  for (const match of matches) {
    const finding = judgeMatch(match, packet, start.surroundings)
    if (finding === undefined) continue
    asked.push({ part: { matches: [match] }, finding })
    if (isReached && match.type === 'recent') packet = afterRecent(match, packet)
    isByChance ||= finding.odds !== undefined
    // What comes after chance happens only where it falls so.
    if (!isByChance) passed = packet
    isReached &&= finding.holds
  }
  return { asked, packet, passed }
}
