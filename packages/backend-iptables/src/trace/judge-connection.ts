import {
  allOf,
  anyOf,
  assumed,
  claimed,
  type Finding,
  type Judged,
  known,
  negatedIf,
  networkContains,
  opaqueClaim,
  type OriginalTuple,
  type PacketState,
} from '@pointsman/core/trace'
import type { ConntrackState, OtherMatch, RecentMatch } from 'node-iptables'
import type { GivenOption, Options } from './rule-tables.js'

/** Whether the connection is in one of the states, as `NEW,DNAT`. */
export function judgeTracking(states: string | readonly ConntrackState[], { packet, supposed }: Judged): Finding {
  const { tracking, sourceChanged, destinationRewritten } = packet
  const actual: readonly string[] = [
    tracking,
    ...(sourceChanged === true ? ['SNAT'] : []),
    ...(destinationRewritten ? ['DNAT'] : []),
  ]
  const asked: readonly string[] = typeof states === 'string' ? states.toUpperCase().split(',') : states
  const holds = asked.some((state) => actual.includes(state))
  if (holds || sourceChanged !== undefined || !asked.includes('SNAT'))
    return known(holds, `the connection is ${actual.join(', ')}`)
  const text = `${packet.unknownSource ?? 'its source'} is another than it had`
  return claimed(opaqueClaim('SOURCE_ADDRESS', text), supposed)
}

/** `-m conntrack` with other fields than the state (net/netfilter/xt_conntrack.c). */
export function judgeConnection(options: Options, judged: Judged, match: OtherMatch): Finding {
  const { packet } = judged
  const state = options.get('--ctstate')
  const ofState = state && negatedIf(state.negated, judgeTracking(state.values[0] ?? '', judged))
  if (ofState !== undefined && (!ofState.holds || ofState.unknown !== undefined)) return ofState
  // Of what conntrack does not track, the state alone is asked.
  if (packet.tracking === 'INVALID' || packet.tracking === 'UNTRACKED')
    return known(ofState !== undefined, `the connection is ${packet.tracking}`)
  return allOf([
    ...(ofState === undefined ? [] : [ofState]),
    ...[...options].flatMap(([name, option]): readonly Finding[] =>
      name === '--ctstate'
        ? []
        : [negatedIf(option.negated, judgeField(name, option, judged) ?? other(match, name, option, judged))],
    ),
  ])
}

const other = ({ name }: OtherMatch, option: string, { values }: GivenOption, { packet, supposed }: Judged): Finding =>
  claimed(
    {
      ...opaqueClaim('CONNECTION', `-m ${name} ${[option, ...values].join(' ')} matches`),
      subject: `${option} ${values.join(' ')} ${packet.destination} ${packet.source}`,
    },
    supposed,
  )

function judgeField(name: string, { values: [text = ''] }: GivenOption, judged: Judged): Finding | undefined {
  const { packet } = judged
  const { original } = packet
  switch (name) {
    case '--ctproto':
      return known(isProtocol(text, packet.protocol), `the protocol is ${packet.protocol}`)
    case '--ctdir':
      return known(text.toUpperCase() === 'ORIGINAL', 'it goes in the direction of the connection')
    case '--ctorigsrc':
      return inNetwork(text, original.source)
    case '--ctorigdst':
      return inNetwork(text, original.destination)
    case '--ctreplsrc':
      return inNetwork(text, packet.destination)
    case '--ctrepldst':
      return packet.unknownSource === undefined ? inNetwork(text, packet.source) : undefined
    case '--ctorigsrcport':
      return ofPort(text, original.sourcePort)
    case '--ctorigdstport':
      return ofPort(text, original.destinationPort)
    case '--ctreplsrcport':
      return ofPort(text, packet.destinationPort)
    case '--ctrepldstport':
      return ofPort(text, packet.sourceChanged === false ? original.sourcePort : undefined)
    case '--ctstatus':
      return anyOf(text.split(',').map((status) => judgeStatus(status.toUpperCase(), judged)))
    default:
      return undefined
  }
}

function inNetwork(text: string, address: string): Finding {
  const network = text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
  return known(networkContains(network, address), `conntrack has ${address}`)
}

function ofPort(text: string, port: OriginalTuple['sourcePort']): Finding | undefined {
  const [, first, last = first] = /^(\d+)(?:[:-](\d+))?$/.exec(text) ?? []
  if (first === undefined || port === undefined) return undefined
  return known(Number(first) <= port && port <= Number(last), `conntrack has the port ${port}`)
}

/** The first packet of a connection is confirmed when it leaves, and answered after that. */
function judgeStatus(status: string, { packet, supposed }: Judged): Finding {
  const isFirst = packet.tracking === 'NEW'
  const because = isFirst ? 'it is the first packet of its connection' : 'the connection is established'
  switch (status) {
    case 'NONE':
      return known(false, 'no connection has the status NONE')
    case 'CONFIRMED':
      return known(packet.confirmed, because)
    case 'SEEN_REPLY':
      return known(!isFirst, because)
    case 'ASSURED':
    case 'EXPECTED':
      return isFirst
        ? known(false, because)
        : claimed(opaqueClaim('CONNECTION', `the connection has the status ${status}`), supposed)
    default:
      return claimed(opaqueClaim('CONNECTION', `the connection has the status ${status}`), supposed)
  }
}

const NUMBERS: { readonly [protocol: string]: string } = {
  icmp: '1',
  tcp: '6',
  udp: '17',
  'ipv6-icmp': '58',
  sctp: '132',
}

const isProtocol = (text: string, protocol: string): boolean =>
  text === protocol || text === NUMBERS[protocol] || (text === 'icmpv6' && protocol === 'ipv6-icmp')

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
