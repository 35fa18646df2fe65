import { type Assumption, parseAddress } from '@pointsman/core'
import {
  addressOrder,
  allOf,
  anyOf,
  assumed,
  claimed,
  type Finding,
  type Judged,
  judgeDestinationPort,
  judgeFlags,
  judgeMark,
  judgeSourcePort,
  judgeSourceRange,
  known,
  negatedIf,
  opaqueClaim,
} from '@pointsman/core/trace'
import { formatRule, type OtherMatch, type PortRange, type TcpFlag } from 'node-iptables'
import { judgeConnection, judgeTracking } from './judge-connection.js'
import { elementKey, elementOf, ipsetsIn, setHas } from './ip-sets.js'
import { type GivenOption, maskedNumberOf, type Options, optionsOf } from './rule-tables.js'

/**
 * What a match comes to that rules keep word by word. What the packet decides is decided; a limit is taken not to be reached; the
 * rest depends on unknown facts. Undefined: it is no condition.
 */
export function judgeOther(match: OtherMatch, judged: Judged): Finding | undefined {
  if (match.name === 'comment') return undefined
  const judge = JUDGES.get(match.name)
  const options = optionsOf(match.words)
  return options === undefined || judge === undefined ? opaque(match, judged) : judge(options, judged, match)
}

type Judge = (options: Options, judged: Judged, match: OtherMatch) => Finding

type OptionJudge = (value: string, judged: Judged, options: Options) => Finding | undefined

/** All options have to hold, each by itself; one that is not known here depends on unknown facts. */
const every =
  (judges: Readonly<Record<string, OptionJudge>>, ignored: readonly string[] = []): Judge =>
  (options, judged, match) =>
    allOf(
      [...options].flatMap(([name, option]): readonly Finding[] => {
        if (ignored.includes(name)) return []
        const judge = Object.hasOwn(judges, name) ? judges[name] : undefined
        const found = judge?.(option.values[0] ?? '', judged, options)
        return [found === undefined ? opaqueOption(match, { name, option }, judged) : negatedIf(option.negated, found)]
      }),
    )

const PORTS: Readonly<Record<string, OptionJudge>> = {
  '--sport': (text, judged) => ofPorts(text, (range) => judgeSourcePort(range, judged)),
  '--dport': (text, judged) => ofPorts(text, (range) => judgeDestinationPort(range, judged)),
}

/** A header of a protocol, as `-m tcp` with an option that rules are not read for. */
const header =
  (protocol: string, judges: Readonly<Record<string, OptionJudge>> = {}): Judge =>
  (options, judged, match) =>
    judged.packet.protocol === protocol
      ? every({ ...PORTS, ...judges })(options, judged, match)
      : known(false, `the protocol is ${judged.packet.protocol}`)

const FLAGS: Readonly<Record<string, OptionJudge>> = {
  '--tcp-flags': (_, { packet }, options) => {
    const [mask, set] = options.get('--tcp-flags')?.values ?? []
    if (mask === undefined || set === undefined) return undefined
    return judgeFlags({ mask: flagsOf(mask), set: flagsOf(set) }, packet)
  },
}

const ALL_FLAGS: readonly TcpFlag[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']
const flagsOf = (text: string): readonly TcpFlag[] =>
  text === 'ALL' ? ALL_FLAGS : ALL_FLAGS.filter((flag) => text.split(',').includes(flag))

const listed =
  (judge: (range: PortRange, judged: Judged) => Finding): OptionJudge =>
  (text, judged) => {
    const findings = text.split(',').map((part) => ofPorts(part, (range) => judge(range, judged)))
    return findings.includes(undefined) ? undefined : anyOf(findings.flatMap((finding) => finding ?? []))
  }

function ofPorts(text: string, judge: (range: PortRange) => Finding): Finding | undefined {
  const [, first, isRange, last] = /^(\d*)(:?)(\d*)$/.exec(text) ?? []
  if (first === undefined || (isRange === '' && first === '')) return undefined
  const low = first === '' ? 0 : Number(first)
  return judge({ first: low, last: isRange === '' ? low : last === '' ? 65_535 : Number(last) })
}

const multiport: Judge = (options, judged, match) => {
  const both: OptionJudge = (text) => {
    const source = listed(judgeSourcePort)(text, judged, options)
    const destination = listed(judgeDestinationPort)(text, judged, options)
    return source === undefined || destination === undefined ? undefined : anyOf([destination, source])
  }
  return every({
    '--sports': listed(judgeSourcePort),
    '--source-ports': listed(judgeSourcePort),
    '--dports': listed(judgeDestinationPort),
    '--destination-ports': listed(judgeDestinationPort),
    '--ports': both,
  })(options, judged, match)
}

const iprange = every({
  '--src-range': (text, judged) => {
    const range = addressRange(text)
    return range && judgeSourceRange(range, judged)
  },
  '--dst-range': (text, { packet: { destination } }) => {
    const range = addressRange(text)
    if (range === undefined) return undefined
    const [low, at, high] = [range.low, destination, range.high].map(addressOrder)
    const isIn = low?.length === at?.length && (low ?? '') <= (at ?? '') && (at ?? '') <= (high ?? '')
    return known(isIn, `the destination is ${destination}`)
  },
})

function addressRange(text: string): { readonly low: string; readonly high: string } | undefined {
  const [first = '', last = first] = text.split('-')
  const low = parseAddress(first)?.text
  const high = parseAddress(last)?.text
  return low === undefined || high === undefined ? undefined : { low, high }
}

const RATE: Assumption = {
  code: 'RATE_LIMIT',
  message: 'the packet is taken to be the first that a limit counts, and so within it',
}
const within = (): Finding => assumed(true, 'the first packet is within the limit', RATE)
const beyond = (): Finding => assumed(false, 'the first packet is within the limit', RATE)

/** Each packet counts itself. */
const connlimit = every(
  {
    '--connlimit-upto': (text) => assumed(Number(text) >= 1, 'it is the one connection', RATE),
    '--connlimit-above': (text) => assumed(Number(text) < 1, 'it is the one connection', RATE),
  },
  ['--connlimit-mask', '--connlimit-saddr', '--connlimit-daddr'],
)

const hashlimit: Judge = (options) => {
  const isAbove = options.get('--hashlimit-above')
  const upto = options.get('--hashlimit-upto') ?? options.get('--hashlimit')
  return isAbove === undefined ? negatedIf(upto?.negated === true, within()) : negatedIf(isAbove.negated, beyond())
}

const pkttype = every({
  '--pkt-type': (text, { packet: { original } }) => {
    const type = packetType(original.destination)
    return known(text.toLowerCase() === type, `it is a ${type} packet`)
  },
})

function packetType(destination: string): 'unicast' | 'multicast' | 'broadcast' {
  if (destination === '255.255.255.255') return 'broadcast'
  if (destination.includes(':')) return destination.startsWith('ff') ? 'multicast' : 'unicast'
  const first = Number.parseInt(destination, 10)
  return first >= 224 && first < 240 ? 'multicast' : 'unicast'
}

/** Frames of the loopback interface have no addresses, so that nothing matches (net/netfilter/xt_mac.c). */
const mac: Judge = (options, judged, match) =>
  judged.packet.bornHere || judged.packet.inInterface === 'lo'
    ? known(false, 'it comes in no frame with a MAC address')
    : every({
        '--mac-source': (text, { packet, supposed }) => {
          const address = text.toLowerCase()
          if (packet.mac !== undefined) return known(packet.mac === address, `the MAC address is ${packet.mac}`)
          const value = { low: address, high: address }
          return claimed(
            { subject: 'MAC address', ...value, code: 'MAC_ADDRESS', text: `the sender's MAC address is ${address}` },
            supposed,
          )
        },
      })(options, judged, match)

/** Only what a process of the node sends has an owner: of other packets, all that is denied holds (net/netfilter/xt_owner.c). */
const owner = every(
  {
    '--uid-owner': (text, judged) => ofOwner(text, { what: 'uid', value: judged.packet.uid }, judged),
    '--gid-owner': (text, judged, options) =>
      options.has('--suppl-groups')
        ? judged.packet.bornHere
          ? claimed(opaqueClaim('OWNER', `the sender is in the group ${text}`), judged.supposed)
          : known(false, NO_SENDER)
        : ofOwner(text, { what: 'gid', value: judged.packet.gid }, judged),
    '--socket-exists': (_, { packet: { bornHere } }) =>
      known(bornHere, bornHere ? 'a process of the node sends it' : NO_SENDER),
  },
  ['--suppl-groups'],
)

const NO_SENDER = 'no process of the node sends it'

function ofOwner(
  text: string,
  { what, value }: { readonly what: 'uid' | 'gid'; readonly value: number | undefined },
  { packet, supposed }: Judged,
): Finding {
  if (!packet.bornHere) return known(false, NO_SENDER)
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text === 'root' ? '0' : text) ?? []
  if (first === undefined || last === undefined)
    return claimed(opaqueClaim('OWNER', `the sender's ${what} is that of ${text}`), supposed)
  if (value !== undefined) return known(Number(first) <= value && value <= Number(last), `the ${what} is ${value}`)
  const range = { low: first.padStart(10, '0'), high: last.padStart(10, '0') }
  return claimed({ subject: what, ...range, code: 'OWNER', text: `the sender's ${what} is ${text}` }, supposed)
}

/** What conntrack does not track has no mark, and nothing matches. */
const connmark: Judge = (options, judged, match) =>
  judged.packet.tracking === 'INVALID' || judged.packet.tracking === 'UNTRACKED'
    ? known(false, `the connection is ${judged.packet.tracking}`)
    : every({
        '--mark': (text, place) => {
          const asked = maskedNumberOf(text)
          const { connectionMark: mark } = place.packet
          return asked && judgeMark(asked, { mark, what: 'the mark of the connection' }, place)
        },
      })(options, judged, match)

/** An echo request. */
const echo =
  (protocol: 'icmp' | 'ipv6-icmp', option: string, type: number): Judge =>
  (options, judged, match) =>
    judged.packet.protocol === protocol
      ? every({ [option]: (text) => known(isEcho(text, type), 'it is an echo request') })(options, judged, match)
      : known(false, `the protocol is ${judged.packet.protocol}`)

const isEcho = (text: string, type: number): boolean =>
  [`${type}`, `${type}/0`, 'echo-request', 'ping', 'any', '255'].includes(text.toLowerCase())

/** Without a socket, it never matches. */
const cgroup: Judge = (_, judged, match) => (judged.packet.bornHere ? opaque(match, judged) : known(false, NO_SENDER))

const set: Judge = (options, judged, match) => {
  const [name, flags] = options.get('--match-set')?.values ?? []
  const others = [...options.keys()].filter((option) => !HARMLESS_SET_OPTIONS.has(option))
  if (name === undefined || flags === undefined || others.length > 0) return opaque(match, judged)
  const { packet, surroundings, supposed } = judged
  const negated = options.get('--match-set')?.negated === true
  const element = elementOf(flags, packet)
  const change = packet.setChanges.find((one) => one.set === name)
  const key = elementKey(flags, packet)
  if (change?.element === key) {
    return negatedIf(
      negated,
      known(change.isIn, `a rule has just ${change.isIn ? 'added it to' : 'removed it from'} ${name}`),
    )
  }
  const sets = ipsetsIn(surroundings)
  const isIn = change === undefined && sets !== undefined ? setHas(sets, { name, flags }, packet) : undefined
  if (isIn !== undefined)
    return negatedIf(negated, known(isIn, `the set ${name} ${isIn ? 'has' : 'does not have'} ${element}`))
  const since = change === undefined ? '' : ' after a rule has changed it'
  const text = `the set ${name} has ${element}${since}`
  return negatedIf(
    negated,
    claimed({ subject: `set ${name} ${key}${since}`, low: '', high: '', code: 'SET_MEMBER', text }, supposed),
  )
}

/** They count, and decide nothing. */
const HARMLESS_SET_OPTIONS: ReadonlySet<string> = new Set(['--match-set', '--update-counters', '--update-subcounters'])

const JUDGES: ReadonlyMap<string, Judge> = new Map(
  Object.entries<Judge>({
    state: every({ '--state': (text, judged) => judgeTracking(text, judged) }),
    conntrack: judgeConnection,
    multiport,
    iprange,
    limit: within,
    hashlimit,
    connlimit,
    pkttype,
    mac,
    owner,
    connmark,
    set,
    cgroup,
    tcp: header('tcp', FLAGS),
    udp: header('udp'),
    sctp: header('sctp'),
    icmp: echo('icmp', '--icmp-type', 8),
    icmp6: echo('ipv6-icmp', '--icmpv6-type', 128),
    icmpv6: echo('ipv6-icmp', '--icmpv6-type', 128),
  }),
)

/** What reads more than is known here. The same words mean the same as long as the packet has the same addresses. */
function opaque({ name, words }: OtherMatch, { packet, supposed }: Judged): Finding {
  const denied = words.filter((word) => word === '!').length + words.filter((word) => word === '--invert').length
  const options = words.filter((word) => word.startsWith('--') && word !== '--invert').length
  // Where a match has one condition, `!` denies all of it.
  const isDenial = denied === 1 && (options === 1 || ONE_CONDITION.has(name))
  const positive = isDenial ? words.filter((word) => word !== '!' && word !== '--invert') : words
  const text = `${formatRule({ matches: [{ type: 'other', name, words: positive }] })} matches`
  return negatedIf(
    isDenial,
    claimed({ subject: `${text} ${headerText(packet)}`, low: '', high: '', code: 'MATCH', text }, supposed),
  )
}

const ONE_CONDITION: ReadonlySet<string> = new Set([
  'string',
  'length',
  'rpfilter',
  'u32',
  'dscp',
  'tos',
  'quota',
  'bpf',
])

function opaqueOption(
  { name }: OtherMatch,
  { name: option, option: { negated, values } }: { readonly name: string; readonly option: GivenOption },
  { packet, supposed }: Judged,
): Finding {
  const text = `-m ${name} ${[option, ...values].join(' ')} matches`
  return negatedIf(
    negated,
    claimed({ subject: `${text} ${headerText(packet)}`, low: '', high: '', code: 'MATCH', text }, supposed),
  )
}

const headerText = ({ source, unknownSource, sourceChanged, destination, destinationPort }: Judged['packet']): string =>
  [unknownSource ?? source, String(sourceChanged), destination, destinationPort].join(' ')
