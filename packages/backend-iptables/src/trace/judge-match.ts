import {
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
  type Match,
  type PhysdevMatch,
  type PortRange,
  type PortsMatch,
  type RecentMatch,
  type Rule,
  STATISTIC_CHANCES,
  type TcpFlag,
} from 'node-iptables'
import { allOf, assumed, claimed, type Finding, known, negatedIf } from './finding.js'
import { judgeTracking } from './judge-connection.js'
import { judgeOther } from './judge-other.js'
import type { Case, Claim } from './suppositions.js'
import {
  addressOrder,
  isOwnAddress,
  type Mark,
  networkContains,
  networkOrder,
  type PacketState,
} from './traced-packet.js'

/** What a condition is judged by: the packet, the node, and the case of what nobody knows. */
export interface Judged {
  readonly packet: PacketState
  readonly surroundings: Surroundings
  readonly supposed: Case | undefined
}

/** What a match comes to. Undefined: it is no condition, but a comment or a counter. */
export function judgeMatch(match: Match, judged: Judged): Finding | undefined {
  const { packet } = judged
  switch (match.type) {
    case 'comment':
    case 'nfacct':
      return undefined
    case 'tcp':
    case 'udp':
    case 'sctp':
      return judgePorts(match, judged)
    case 'mark':
      return negatedIf(match.negated, judgeMark(match, { mark: packet.mark, what: 'the mark' }, judged))
    case 'conntrack':
      return negatedIf(match.negated, judgeTracking(match.states, judged))
    case 'statistic-random':
      return byChance(dyadicOdds(match.chances, Math.log2(STATISTIC_CHANCES)), match)
    case 'statistic-nth':
      return { ...byChance(oneIn(match.every), match), assumption: countUnknown(match.every) }
    case 'recent':
      return negatedIf(match.negated, judgeRecent(match, judged))
    case 'addrtype':
      return judgeAddrtype(match, judged)
    case 'physdev':
      return judgePhysdev(match, judged)
    case 'other':
      return judgeOther(match, judged)
    default:
      return assertNever(match)
  }
}

/** Whether the bits in mask are those of value. */
export function judgeMark(
  { value, mask }: { readonly value: number; readonly mask: number },
  { mark, what }: { readonly mark: Mark; readonly what: string },
  { supposed }: Pick<Judged, 'supposed'>,
): Finding {
  const isKnown = (mark.unknown & mask) === 0
  const bits = (mask & ~mark.unknown) >>> 0
  if (isKnown || (mark.value & bits) >>> 0 !== (value & bits) >>> 0) {
    // A value with bits outside of the mask is never met.
    return known((mark.value & mask) >>> 0 === value && isKnown, `${what} is 0x${mark.value.toString(16)}`)
  }
  const open = (mask & mark.unknown) >>> 0
  return claimed(
    {
      subject: `${mark.of} & ${open}`,
      low: hexText(value & open),
      high: hexText(value & open),
      code: 'MARK',
      text: `${mark.of} has 0x${((value & open) >>> 0).toString(16)} in its bits 0x${open.toString(16)}`,
    },
    supposed,
  )
}

const hexText = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')

function byChance(chance: Odds, { negated }: { readonly negated: boolean }): Finding {
  const odds = negated ? otherOdds(chance) : chance
  if (isCertain(odds) || isImpossible(odds)) return known(isCertain(odds), 'no chance is in it')
  return { holds: true, because: 'chance decides', odds }
}

const countUnknown = (every: number): Finding['assumption'] => ({
  code: 'PACKET_COUNT',
  message: `how many packets a rule has counted is not known: one in ${every} is taken to match`,
})

function judgeAddrtype(match: AddrtypeMatch, { packet, surroundings, supposed }: Judged): Finding {
  const judge = (types: readonly string[], address: string): Finding => {
    if (types.some((type) => ROUTED_TYPES.has(type))) {
      const text = `${address} is of the type ${types.join(' or ')} in the routing tables`
      return claimed(opaqueClaim('MATCH', text), supposed)
    }
    const type = addressType(address, surroundings)
    const found = known(isOfTypes(type, types, packet.family), `${address} is ${TYPE_WORDS[type]}`)
    if (type !== 'UNICAST' || types.includes('BROADCAST') === types.includes('UNICAST') || !mayBeBroadcast(address))
      return found
    const message = `${address} is taken to be no broadcast address of a network of the node`
    return { ...found, assumption: { code: 'BROADCAST', message } }
  }
  const { source, destination, limit } = match
  const findings = [
    ...(source === undefined
      ? []
      : [
          negatedIf(
            source.negated,
            packet.unknownSource === undefined
              ? judge(source.types, packet.source)
              : known(isOfTypes('LOCAL', source.types, packet.family), `${packet.unknownSource} is one of the node's`),
          ),
        ]),
    ...(destination === undefined
      ? []
      : [negatedIf(destination.negated, judge(destination.types, packet.destination))]),
  ]
  const found = allOf(findings)
  if (limit === undefined || (!found.holds && found.unknown === undefined)) return found
  // Which of the node's interfaces bears an address is not known.
  const side = limit === 'in' ? 'arrives' : 'leaves'
  const code = limit === 'in' ? 'IN_INTERFACE' : 'OUT_INTERFACE'
  const text = `${found.because} by the interface that it ${side} by`
  return allOf([found, claimed(opaqueClaim(code, text), supposed)])
}

/** Types that routes have, not addresses. */
const ROUTED_TYPES: ReadonlySet<string> = new Set([
  'UNSPEC',
  'ANYCAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
])

// Networks of fewer addresses have broadcast addresses as well, and are few.
const mayBeBroadcast = (address: string): boolean => /\.(?:63|127|191|255)$/.test(address)

/** A claim that is about nothing else than itself. */
export const opaqueClaim = (code: Claim['code'], text: string): Claim => ({
  subject: text,
  low: '',
  high: '',
  code,
  text,
})

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
function judgePorts({ type, source, destination, flags }: PortsMatch, judged: Judged): Finding {
  const { packet } = judged
  if (type !== packet.protocol) return known(false, `the protocol is ${packet.protocol}`)
  return allOf([
    ...(destination === undefined ? [] : [negatedIf(destination.negated, judgeDestinationPort(destination, judged))]),
    ...(source === undefined ? [] : [negatedIf(source.negated, judgeSourcePort(source, judged))]),
    ...(flags === undefined ? [] : [negatedIf(flags.negated, judgeFlags(flags, packet))]),
  ])
}

const isIn = ({ first, last }: PortRange, port: number): boolean => first <= port && port <= last

export const judgeDestinationPort = (range: PortRange, { packet: { destinationPort } }: Judged): Finding =>
  known(isIn(range, destinationPort), `the port is ${destinationPort}`)

/** Clients take their ports from 1024 on: how far, nobody knows. */
export function judgeSourcePort(range: PortRange, { packet, supposed }: Judged): Finding {
  const { sourcePort: port } = packet
  if (port !== undefined) return known(isIn(range, port), `the source port is ${port}`)
  if (range.first === 0 && range.last === 65_535) return known(true, 'any port is one of them')
  if (range.last < 1024 || (range.first <= 1024 && range.last === 65_535)) {
    return assumed(range.last >= 1024, 'the source port is not known', {
      code: 'SOURCE_PORT',
      message: 'the source port is not known: taken to be one from 1024 on',
    })
  }
  const ports = range.first === range.last ? `${range.first}` : `from ${range.first} to ${range.last}`
  return claimed(
    {
      subject: packet.sourceChanged !== false ? 'the source port after SNAT' : 'the source port',
      low: portText(range.first),
      high: portText(range.last),
      code: 'SOURCE_PORT',
      text: `the source port is ${ports}`,
    },
    supposed,
  )
}

const portText = (port: number): string => String(port).padStart(5, '0')

/** Whether the source lies in a network. */
export function judgeSource(network: string, { packet, supposed }: Judged): Finding {
  const { source, unknownSource } = packet
  if (unknownSource === undefined) return known(networkContains(network, source), `the source is ${source}`)
  const order = networkOrder(network)
  return claimed(
    {
      subject: order === undefined ? `${unknownSource} in ${network}` : unknownSource,
      low: order?.low ?? '',
      high: order?.high ?? '',
      code: 'SOURCE_ADDRESS',
      text: `${unknownSource} is in ${network}`,
    },
    supposed,
  )
}

/** Whether the source lies between two addresses, both included. */
export function judgeSourceRange(
  { low, high }: { readonly low: string; readonly high: string },
  judged: Judged,
): Finding {
  const { source, unknownSource } = judged.packet
  const range = { low: addressOrder(low), high: addressOrder(high) }
  if (unknownSource === undefined) {
    const at = addressOrder(source)
    return known(at.length === range.low.length && range.low <= at && at <= range.high, `the source is ${source}`)
  }
  const text = `${unknownSource} is from ${low} to ${high}`
  return claimed({ subject: unknownSource, ...range, code: 'SOURCE_ADDRESS', text }, judged.supposed)
}

/** The first packet of a connection bears SYN alone; those after it are taken to bear ACK alone. */
export function judgeFlags(
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
export function judgeInterface({ name, negated }: Named, side: Side, { packet, supposed }: Judged): Finding {
  const actual = side === 'in' ? packet.inInterface : packet.outInterface
  return negatedIf(
    negated,
    actual === undefined ? unknownInterface(name, side, supposed) : known(isNamed(name, actual), WORDS[side](actual)),
  )
}

const isNamed = (name: string, actual: string): boolean =>
  name.endsWith('+') ? actual.startsWith(name.slice(0, -1)) : actual === name

const WORDS: { readonly [side in Side]: (name: string) => string } = {
  in: (name) => (name === '' ? 'it arrives by no interface here' : `it arrives by ${name}`),
  out: (name) => (name === '' ? 'it leaves by no interface here' : `it leaves by ${name}`),
}

/** Others than the node itself do not use lo. */
const unknownInterface = (name: string, side: Side, supposed: Case | undefined): Finding =>
  name === 'lo'
    ? known(false, side === 'in' ? 'it comes from elsewhere' : 'it goes elsewhere')
    : claimed(
        {
          subject: side === 'in' ? 'input interface' : 'output interface',
          ...namesLike(name),
          code: side === 'in' ? 'IN_INTERFACE' : 'OUT_INTERFACE',
          text: `it ${side === 'in' ? 'arrives' : 'leaves'} by ${spelled(name)}`,
        },
        supposed,
      )

/** A name, or all that begin with what stands before a `+`, as a range of text. */
const namesLike = (name: string): { readonly low: string; readonly high: string } =>
  name.endsWith('+') ? { low: name.slice(0, -1), high: `${name.slice(0, -1)}\uFFFF` } : { low: name, high: name }

const spelled = (name: string): string =>
  name === '+' ? 'an interface' : name.endsWith('+') ? `an interface ${name.slice(0, -1)}...` : name

/**
 * The port of a bridge (net/netfilter/xt_physdev.c): only packets that come in by one, or go out by one, have it. To the rules of
 * FORWARD and POSTROUTING a packet is bridged where it has one to go out by.
 */
function judgePhysdev(match: PhysdevMatch, { packet, supposed }: Judged): Finding {
  const port = (side: Side, name: string | undefined): Finding => {
    const actual = side === 'in' ? packet.bridgeIn : packet.bridgeOut
    const text = `it ${side === 'in' ? 'comes in' : 'goes out'} by ${name === undefined ? 'a port of a bridge' : `the bridge port ${name}`}`
    if (actual !== undefined) {
      const holds = name === undefined ? actual !== '' : actual !== '' && isNamed(name, actual)
      return known(holds, actual === '' ? `it ${side === 'in' ? 'comes in' : 'goes out'} by no port of a bridge` : text)
    }
    const range = name === undefined || name === '+' ? { low: '!', high: '\uFFFF' } : namesLike(name)
    return claimed({ subject: `bridge port ${side}`, ...range, code: 'BRIDGE_PORT', text }, supposed)
  }
  const asked = (part: { readonly negated: boolean } | undefined, side: Side, name?: string): readonly Finding[] =>
    part === undefined ? [] : [negatedIf(part.negated, port(side, name))]
  return allOf([
    ...asked(match.isIn, 'in'),
    ...asked(match.in, 'in', match.in?.name),
    ...asked(match.isOut, 'out'),
    ...asked(match.out, 'out', match.out?.name),
    ...asked(match.isBridged, 'out'),
  ])
}

/** `-m recent` before its `!` (net/netfilter/xt_recent.c). Putting an address on a list always succeeds. */
function judgeRecent(match: RecentMatch, { packet, surroundings, supposed }: Judged): Finding {
  const list = listOf(match)
  const address = addressOf(match, packet)
  if (match.operation === 'set') return known(true, `${address} is put on the list ${list}`)
  const change = changeOf(list, address, packet)
  const own = change?.times ?? 0
  if (change?.isFresh === true && own === 0) return known(false, `${address} was taken off the list ${list} just now`)
  const needed = match.operation === 'remove' ? 1 : Math.max(1, match.hitcount ?? 1)
  if (own >= needed && !match.rttl) return known(true, `${address} was put on the list ${list} just now`)
  if (match.rttl) return claimed(opaqueClaim('RECENT', `${address} is on the list ${list} with its TTL`), supposed)
  if (change?.isFresh === true) return known(false, `the list ${list} has ${address} ${own} times`)
  const { affinity } = surroundings
  if (affinity === undefined) {
    const message = `${address} is taken to be a new client: on no list of \`-m recent\``
    return assumed(false, 'it is taken to be a new client', { code: 'NEW_CLIENT', message })
  }
  const entry = affinity.find((one) => one.list === list && isSame(one.address, address, match.mask))
  if (entry === undefined) {
    const because = own === 0 ? 'is not on the list' : `is on record ${own} times on the list`
    return known(false, `${address} ${because} ${list}`)
  }
  const { secondsAgo = 0, hits = 1 } = entry
  const since = `${address} was put on the list ${list} ${secondsAgo} s ago`
  if (match.operation === 'remove') return known(true, since)
  const isOld = match.seconds !== undefined && match.seconds > 0 && secondsAgo > match.seconds
  if (isOld) return known(false, since)
  if (hits + own < needed) return known(false, `${since}, and is on record ${hits + own} times`)
  // When it was seen before the last time is not known.
  if (needed - own <= 1 || match.seconds === undefined || match.seconds === 0) return known(true, since)
  const text = `the list ${list} has ${address} at least ${needed} times within ${match.seconds} s`
  return claimed(opaqueClaim('RECENT', text), supposed)
}

const changeOf = (list: string, address: string, { recent }: PacketState): PacketState['recent'][number] | undefined =>
  recent.find((one) => one.list === list && one.address === address)

/** The packet when the match has been tried, and came to `holds`: that changes the list, also where the rule then fails. */
export function afterRecent(match: RecentMatch, packet: PacketState, holds: boolean): PacketState {
  const list = listOf(match)
  const address = addressOf(match, packet)
  const before = changeOf(list, address, packet)
  const others = packet.recent.filter((one) => one !== before)
  switch (match.operation) {
    case 'set':
      return with1({ list, address, times: (before?.times ?? 0) + 1, isFresh: before?.isFresh === true })
    case 'remove':
      return with1({ list, address, times: 0, isFresh: true })
    case 'update':
      // It counts once more where it matches, and is on the list at all.
      if (!holds || (match.negated && (before?.times ?? 0) === 0)) return packet
      return with1({ list, address, times: (before?.times ?? 0) + 1, isFresh: before?.isFresh === true })
    case 'rcheck':
      return packet
  }
  function with1(change: PacketState['recent'][number]): PacketState {
    return { ...packet, recent: [change, ...others] }
  }
}

/** The list that a rule speaks of; iptables calls it so where the rule does not. */
const listOf = ({ name = 'DEFAULT' }: RecentMatch): string => name

/** Of an unknown source, what it is called: the same for all rules. */
const addressOf = ({ side }: RecentMatch, { source, destination, unknownSource }: PacketState): string =>
  side === 'destination' ? destination : (unknownSource ?? source)

const isSame = (one: string, other: string, mask: string | undefined): boolean =>
  one === other || (mask !== undefined && networkContains(`${one}/${mask}`, other))
