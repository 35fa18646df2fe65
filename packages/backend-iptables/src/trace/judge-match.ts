import {
  assertNever,
  dyadicOdds,
  isCertain,
  isImpossible,
  oneIn,
  otherOdds,
  type Odds,
  type Surroundings,
} from '@pointsman/core'
import {
  allOf,
  claimed,
  type Finding,
  isNamed,
  isOwnAddress,
  type Judged,
  judgeDestinationPort,
  judgeFlags,
  judgeMark,
  judgeSourcePort,
  known,
  namesLike,
  negatedIf,
  opaqueClaim,
  type PacketState,
  type Side,
} from '@pointsman/core/trace'
import { STATISTIC_CHANCES, type AddrtypeMatch, type Match, type PhysdevMatch, type PortsMatch } from 'node-iptables'
import { judgeRecent, judgeTracking } from './judge-connection.js'
import { judgeOther } from './judge-other.js'

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
  // Which of the node's interfaces has an address is not known.
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
