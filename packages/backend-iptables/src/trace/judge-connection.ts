import type { ConntrackState, OtherMatch } from 'node-iptables'
import { allOf, anyOf, claimed, type Finding, known, negatedIf } from './finding.js'
import { type Judged, opaqueClaim } from './judge-fields.js'
import type { GivenOption, Options } from './options.js'
import { networkContains, type OriginalTuple } from './traced-packet.js'

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
