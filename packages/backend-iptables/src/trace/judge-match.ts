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
import { STATISTIC_CHANCES, type AddrtypeMatch, type ConntrackState, type Match } from 'node-iptables'
import { allOf, assumed, known, negatedIf, type Finding } from './finding.js'
import { judgePhysdev } from './judge-interface.js'
import { judgePorts } from './judge-ports.js'
import { judgeRecent } from './judge-recent.js'
import { isOwnAddress, type PacketState } from './traced-packet.js'

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
