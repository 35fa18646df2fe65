import { formatRule, type Match, type Rule } from 'node-iptables'
import { known, negatedIf, type Finding } from './finding.js'
import { judgeInterface } from './judge-interface.js'
import { judgeMatch } from './judge-match.js'
import { listOf } from './judge-recent.js'
import { isHost, networkContains } from './networks.js'
import { both, CERTAIN, type Odds } from './odds.js'
import type { Assumption, Condition } from './trace.js'
import type { PacketState, Surroundings } from './traced-packet.js'

/** What a rule comes to for a packet. */
export interface Judgement {
  readonly matches: boolean
  /** The odds of matching where it does: chance may be a part of it. */
  readonly odds: Odds
  readonly conditions: readonly Condition[]
  /** What was taken for granted, where that decides. */
  readonly assumptions: readonly Assumption[]
  /** Lists of `-m recent` that the packet's source is put on where it matches. */
  readonly remembers: readonly string[]
}

export function judgeRule(rule: Rule, packet: PacketState, surroundings: Surroundings): Judgement {
  const asked = [...generalConditions(rule, packet), ...matchConditions(rule, packet, surroundings)]
  const findings = asked.map(({ finding }) => finding)
  // A rule that fails by what is known fails whatever the rest is.
  const isDecided = findings.some(({ holds, assumption }) => !holds && assumption === undefined)
  return {
    matches: findings.every(({ holds }) => holds),
    odds: findings.reduce((odds, finding) => (finding.odds === undefined ? odds : both(odds, finding.odds)), CERTAIN),
    conditions: asked.map(({ part, finding }) => ({
      text: formatRule(part),
      holds: finding.holds,
      because: finding.because,
      assumed: finding.assumption !== undefined,
    })),
    assumptions: isDecided ? [] : findings.flatMap(({ assumption }) => assumption ?? []),
    remembers: rule.matches.flatMap((match) =>
      match.type === 'recent' && match.operation === 'set' ? listOf(match) : [],
    ),
  }
}

/** Whether it plainly fails: nearly every rule of a large chain does, and no words are made for it. */
export function failsPlainly(rule: Rule, packet: PacketState): boolean {
  const { destination, protocol, source, matches } = rule
  if (destination !== undefined && networkContains(destination.network, packet.destination) === destination.negated)
    return true
  if (protocol !== undefined && (protocol.name === packet.protocol) === protocol.negated) return true
  if (source !== undefined && networkContains(source.network, packet.source) === source.negated) return true
  return matches.some((match) => isOtherPort(match, packet))
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

function matchConditions({ matches }: Rule, packet: PacketState, surroundings: Surroundings): readonly Asked[] {
  return matches.flatMap((match) => {
    const finding = judgeMatch(match, packet, surroundings)
    return finding === undefined ? [] : [{ part: { matches: [match] }, finding }]
  })
}
