import type { RecentMatch } from 'node-iptables'
import { assumed, known, type Finding } from './finding.js'
import { networkContains } from './networks.js'
import type { AffinityEntry, PacketState, Surroundings } from './traced-packet.js'

/** `-m recent` before its `!`. Putting an address on a list always succeeds. */
export function judgeRecent(match: RecentMatch, packet: PacketState, { affinity }: Surroundings): Finding {
  const list = listOf(match)
  const address = match.side === 'destination' ? packet.destination : packet.source
  if (match.operation === 'set') return known(true, `${address} is put on the list ${list}`)
  if (packet.remembered.includes(list)) return known(true, `${address} was put on the list ${list} just now`)
  if (affinity === undefined) {
    const message = `${address} is taken to be a new client: on no list of \`-m recent\``
    return assumed(false, 'it is taken to be a new client', { code: 'NEW_CLIENT', message })
  }
  const entry = affinity.find((one) => one.list === list && isSame(one.address, address, match.mask))
  if (entry === undefined) return known(false, `${address} is not on the list ${list}`)
  return judgeEntry(entry, match)
}

/** The list that a rule speaks of; iptables calls it so where the rule does not. */
export const listOf = ({ name = 'DEFAULT' }: RecentMatch): string => name

function judgeEntry({ list, address, secondsAgo = 0, hits = 1 }: AffinityEntry, match: RecentMatch): Finding {
  const since = `${address} was put on the list ${list} ${secondsAgo} s ago`
  if (match.seconds !== undefined && secondsAgo > match.seconds) return known(false, since)
  if (match.hitcount !== undefined && hits < match.hitcount)
    return known(false, `${since}, and is on record ${hits} times`)
  return known(true, since)
}

const isSame = (one: string, other: string, mask: string | undefined): boolean =>
  one === other || (mask !== undefined && networkContains(`${one}/${mask}`, other))
