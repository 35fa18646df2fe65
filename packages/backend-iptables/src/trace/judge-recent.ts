import type { AffinityEntry, Surroundings } from '@pointsman/core'
import type { RecentMatch } from 'node-iptables'
import { assumed, known, type Finding } from './finding.js'
import { networkContains } from './networks.js'
import type { PacketState } from './traced-packet.js'

/** `-m recent` before its `!`. Putting an address on a list always succeeds. */
export function judgeRecent(match: RecentMatch, packet: PacketState, { affinity }: Surroundings): Finding {
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
