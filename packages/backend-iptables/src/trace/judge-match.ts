import {
  type AffinityEntry,
  assertNever,
  dyadicOdds,
  isCertain,
  isImpossible,
  type Odds,
  oneIn,
  otherOdds,
  type Surroundings,
} from '@pointsman/core'
import {
  type AddrtypeMatch,
  type ConntrackState,
  type Match,
  type PhysdevMatch,
  type PortRange,
  type PortsMatch,
  type RecentMatch,
  type Rule,
  STATISTIC_CHANCES,
  type TcpFlag,
} from 'node-iptables'
import { allOf, assumed, type Finding, known, negatedIf } from './finding.js'
import { isOwnAddress, networkContains, type PacketState } from './traced-packet.js'

/** What a match comes to. Undefined: it is no condition, but a comment or a counter. */
export function judgeMatch(match: Match, packet: PacketState, surroundings: Surroundings): Finding | undefined {
  switch (match.type) {
    case 'comment':
    case 'nfacct':
      return undefined
    case 'tcp':
    case 'udp':
    case 'sctp':
      return judgePorts(match, packet)
    case 'mark':
      return negatedIf(match.negated, judgeMark(match, packet))
    case 'conntrack':
      return negatedIf(match.negated, judgeTracking(match.states, packet))
    case 'statistic-random':
      return byChance(dyadicOdds(match.chances, Math.log2(STATISTIC_CHANCES)), match)
    case 'statistic-nth':
      return { ...byChance(oneIn(match.every), match), assumption: countUnknown(match.every) }
    case 'recent':
      return negatedIf(match.negated, judgeRecent(match, packet, surroundings))
    case 'addrtype':
      return judgeAddrtype(match, packet, surroundings)
    case 'physdev':
      return judgePhysdev(match, packet)
    case 'other':
      return assumed(false, 'it is taken not to match', {
        code: 'UNKNOWN_MATCH',
        message: `\`-m ${match.name}\` is not known here: taken not to match`,
      })
    default:
      return assertNever(match)
  }
}

const judgeMark = (
  { value, mask }: { readonly value: number; readonly mask: number },
  { mark }: PacketState,
): Finding => known((mark & mask) >>> 0 === value, `the mark is 0x${mark.toString(16)}`)

function judgeTracking(states: readonly ConntrackState[], packet: PacketState): Finding {
  const actual: readonly ConntrackState[] = [
    packet.tracking,
    ...(packet.sourceChanged ? (['SNAT'] as const) : []),
    ...(packet.destinationRewritten ? (['DNAT'] as const) : []),
  ]
  return known(
    states.some((state) => actual.includes(state)),
    `the connection is ${actual.join(', ')}`,
  )
}

function byChance(chance: Odds, { negated }: { readonly negated: boolean }): Finding {
  const odds = negated ? otherOdds(chance) : chance
  if (isCertain(odds) || isImpossible(odds)) return known(isCertain(odds), 'no chance is in it')
  return { holds: true, because: 'chance decides', odds }
}

const countUnknown = (every: number): Finding['assumption'] => ({
  code: 'PACKET_COUNT',
  message: `how many packets a rule has counted is not known: one in ${every} is taken to match`,
})

function judgeAddrtype(match: AddrtypeMatch, packet: PacketState, surroundings: Surroundings): Finding {
  const judge = (types: readonly string[], address: string): Finding => {
    const type = addressType(address, surroundings)
    return known(isOfTypes(type, types, packet.family), `${address} is ${TYPE_WORDS[type]}`)
  }
  const { source, destination, limit } = match
  const findings = [
    ...(source === undefined ? [] : [negatedIf(source.negated, judge(source.types, packet.source))]),
    ...(destination === undefined
      ? []
      : [negatedIf(destination.negated, judge(destination.types, packet.destination))]),
  ]
  const found = allOf(findings)
  if (limit === undefined || !found.holds) return found
  // Which of the node's interfaces bears an address is not known.
  const code = limit === 'in' ? 'IN_INTERFACE' : 'OUT_INTERFACE'
  const message = `${found.because}: taken to be so of the one interface that the rule asks about`
  return assumed(true, found.because, { code, message })
}

/**
 * In IPv4, one of the types. In IPv6 what can be seen by the address alone has to hold, each of it, and an address of the
 * node is unicast as well (net/netfilter/xt_addrtype.c).
 */
function isOfTypes(type: AddressType, types: readonly string[], family: PacketState['family']): boolean {
  if (family === 'IPv4') return types.includes(type)
  if (types.includes('MULTICAST') && type !== 'MULTICAST') return false
  if (types.includes('UNICAST') && type === 'MULTICAST') return false
  return !types.includes('LOCAL') || type === 'LOCAL'
}

type AddressType = 'LOCAL' | 'MULTICAST' | 'BROADCAST' | 'UNICAST'

const TYPE_WORDS: { readonly [type in AddressType]: string } = {
  LOCAL: "one of the node's own addresses",
  MULTICAST: 'a multicast address',
  BROADCAST: 'a broadcast address',
  UNICAST: "none of the node's own addresses",
}

function addressType(address: string, surroundings: Surroundings): AddressType {
  if (isOwnAddress(surroundings, address)) return 'LOCAL'
  if (address === '255.255.255.255') return 'BROADCAST'
  const first = Number.parseInt(address, 10)
  const isMulticast = address.includes(':') ? address.startsWith('ff') : first >= 224 && first < 240
  return isMulticast ? 'MULTICAST' : 'UNICAST'
}

/** `-m tcp`, `-m udp`, `-m sctp`. */
function judgePorts({ type, source, destination, flags }: PortsMatch, packet: PacketState): Finding {
  if (type !== packet.protocol) return known(false, `the protocol is ${packet.protocol}`)
  const { sourcePort, destinationPort } = packet
  return allOf([
    ...(destination === undefined
      ? []
      : [negatedIf(destination.negated, known(isIn(destination, destinationPort), `the port is ${destinationPort}`))]),
    ...(source === undefined ? [] : [negatedIf(source.negated, judgeSourcePort(source, sourcePort))]),
    ...(flags === undefined ? [] : [negatedIf(flags.negated, judgeFlags(flags, packet))]),
  ])
}

const isIn = ({ first, last }: PortRange, port: number): boolean => first <= port && port <= last

const judgeSourcePort = (range: PortRange, port: number | undefined): Finding =>
  port === undefined
    ? assumed(isIn(range, 1024) && isIn(range, 65_535), 'the source port is not known', {
        code: 'SOURCE_PORT',
        message: 'the source port is not known: taken to be any from 1024 on that no rule names',
      })
    : known(isIn(range, port), `the source port is ${port}`)

/** The first packet of a connection bears SYN alone; those after it are taken to bear ACK alone. */
function judgeFlags(
  { mask, set }: { readonly mask: readonly TcpFlag[]; readonly set: readonly TcpFlag[] },
  { tracking }: PacketState,
): Finding {
  const actual: TcpFlag = tracking === 'NEW' ? 'SYN' : 'ACK'
  const expected = mask.filter((flag) => set.includes(flag))
  const counted = mask.filter((flag) => flag === actual)
  return known(expected.join(',') === counted.join(','), `its flag is ${actual}`)
}

type Side = 'in' | 'out'
type Named = NonNullable<Rule['inInterface']>

/** `-i NAME` or `-o NAME`; a name that ends in `+` stands for all that begin so. */
export function judgeInterface({ name, negated }: Named, side: Side, packet: PacketState): Finding {
  const actual = side === 'in' ? packet.inInterface : packet.outInterface
  return negatedIf(
    negated,
    actual === undefined ? unknown(name, side) : known(isNamed(name, actual), WORDS[side](actual)),
  )
}

/** The port of a bridge. Only packets that come in by one, or go out by one, have it; here it is never known. */
function judgePhysdev(match: PhysdevMatch, packet: PacketState): Finding {
  const asked = [match.isIn, match.in, match.isOut, match.out, match.isBridged].flatMap((part) => part ?? [])
  const cameByNone = packet.bornHere
  const findings = asked.map(({ negated }) =>
    negatedIf(
      negated,
      cameByNone
        ? known(false, 'it comes by no bridge')
        : assumed(false, 'it is taken to come by no bridge', {
            code: 'BRIDGE_PORT',
            message: 'by which port of a bridge it comes or goes is not known: taken to be none',
          }),
    ),
  )
  return allOf(findings)
}

const isNamed = (name: string, actual: string): boolean =>
  name.endsWith('+') ? actual.startsWith(name.slice(0, -1)) : actual === name

const WORDS: { readonly [side in Side]: (name: string) => string } = {
  in: (name) => (name === '' ? 'it arrives by no interface here' : `it arrives by ${name}`),
  out: (name) => (name === '' ? 'it leaves by no interface here' : `it leaves by ${name}`),
}

const unknown = (name: string, side: Side): Finding =>
  side === 'in'
    ? assumed(false, 'it is taken to arrive by another', {
        code: 'IN_INTERFACE',
        message: `by which interface it arrives is not known: taken to be another than ${name}`,
      })
    : assumed(false, 'it is taken to leave by another', {
        code: 'OUT_INTERFACE',
        message: `by which interface it leaves is not known: taken to be another than ${name}`,
      })

/** `-m recent` before its `!`. Putting an address on a list always succeeds. */
function judgeRecent(match: RecentMatch, packet: PacketState, { affinity }: Surroundings): Finding {
  const list = listOf(match)
  const address = addressOf(match, packet)
  if (match.operation === 'set') return known(true, `${address} is put on the list ${list}`)
  const change = packet.recent.find((one) => one.list === list && one.address === address)
  if (change !== undefined) {
    return known(change.isOn, `${address} was ${change.isOn ? 'put on' : 'taken off'} the list ${list} just now`)
  }
  if (affinity === undefined) {
    const message = `${address} is taken to be a new client: on no list of \`-m recent\``
    return assumed(false, 'it is taken to be a new client', { code: 'NEW_CLIENT', message })
  }
  const entry = affinity.find((one) => one.list === list && isSame(one.address, address, match.mask))
  if (entry === undefined) return known(false, `${address} is not on the list ${list}`)
  return judgeEntry(entry, match)
}

/** The packet when the match has been tried: that changes the list, also where the rule then fails. */
export function afterRecent(match: RecentMatch, packet: PacketState): PacketState {
  if (match.operation !== 'set' && match.operation !== 'remove') return packet
  const change = { list: listOf(match), address: addressOf(match, packet), isOn: match.operation === 'set' }
  // What was done to the same address on the same list before no longer counts.
  const others = packet.recent.filter(({ list, address }) => list !== change.list || address !== change.address)
  return { ...packet, recent: [change, ...others] }
}

/** The list that a rule speaks of; iptables calls it so where the rule does not. */
const listOf = ({ name = 'DEFAULT' }: RecentMatch): string => name

const addressOf = ({ side }: RecentMatch, { source, destination }: PacketState): string =>
  side === 'destination' ? destination : source

function judgeEntry({ list, address, secondsAgo = 0, hits = 1 }: AffinityEntry, match: RecentMatch): Finding {
  const since = `${address} was put on the list ${list} ${secondsAgo} s ago`
  if (match.seconds !== undefined && secondsAgo > match.seconds) return known(false, since)
  if (match.hitcount !== undefined && hits < match.hitcount)
    return known(false, `${since}, and is on record ${hits} times`)
  return known(true, since)
}

const isSame = (one: string, other: string, mask: string | undefined): boolean =>
  one === other || (mask !== undefined && networkContains(`${one}/${mask}`, other))
