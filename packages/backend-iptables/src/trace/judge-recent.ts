import type { RecentMatch } from 'node-iptables'
import { assumed, claimed, type Finding, known } from './finding.js'
import { type Judged, opaqueClaim } from './judge-fields.js'
import { networkContains, type PacketState } from './traced-packet.js'

/** `-m recent` before its `!` (net/netfilter/xt_recent.c). Putting an address on a list always succeeds. */
export function judgeRecent(match: RecentMatch, { packet, surroundings, supposed }: Judged): Finding {
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
