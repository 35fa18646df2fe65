import type { PortRange, PortsMatch, TcpFlag } from '../rule.js'
import { isAnyPort, listOf, portRangeOf, spellPorts } from '../values.js'
import { type Extension, type GivenOption, optionWords, valueOf } from './extension.js'

const PORT_OPTIONS = {
  '--sport': { values: 1, negatable: true },
  '--dport': { values: 1, negatable: true },
} as const
const PORT_ALIASES = { '--source-port': '--sport', '--destination-port': '--dport' }

export const tcp: Extension<PortsMatch> = {
  options: {
    ...PORT_OPTIONS,
    '--tcp-flags': { values: 2, negatable: true },
    '--syn': { values: 0, negatable: true },
  },
  aliases: PORT_ALIASES,
  read: (given) => {
    const ports = readPorts('tcp', given)
    const flags = readFlags(given)
    if (ports === undefined || flags === 'wrong') return undefined
    return flags === undefined ? ports : { ...ports, flags }
  },
  write: (match) => writePorts(match),
}

export const udp: Extension<PortsMatch> = portsOf('udp')
export const sctp: Extension<PortsMatch> = portsOf('sctp')

function portsOf(type: 'udp' | 'sctp'): Extension<PortsMatch> {
  return {
    options: PORT_OPTIONS,
    aliases: PORT_ALIASES,
    read: (given) => readPorts(type, given),
    write: (match) => (match.flags === undefined ? writePorts(match) : undefined),
  }
}

function readPorts(type: PortsMatch['type'], given: ReadonlyMap<string, GivenOption>): PortsMatch | undefined {
  const read = type === 'udp' ? decimalPortsOf : portRangeOf
  const source = valueOf(given, '--sport', read)
  const destination = valueOf(given, '--dport', read)
  if (source === 'wrong' || destination === 'wrong') return undefined
  return { type, ...kept('source', { type, range: source }), ...kept('destination', { type, range: destination }) }
}

/** Those of `udp` alone are read as decimal numbers whatever they begin with: `053` is 53 there, and 43 elsewhere. */
const decimalPortsOf = (text: string): PortRange | undefined =>
  /x/i.test(text) ? undefined : portRangeOf(text.replaceAll(/\b0+(?=\d)/g, ''))

/** All ports is no condition, and iptables-save does not print it but for `sctp`. */
const kept = (
  name: 'source' | 'destination',
  { type, range }: { readonly type: PortsMatch['type']; readonly range: PortsMatch['source'] },
): Partial<PortsMatch> =>
  range === undefined || (isAnyPort(range) && !range.negated && type !== 'sctp') ? {} : { [name]: range }

const FLAGS: readonly TcpFlag[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

function readFlags(given: ReadonlyMap<string, GivenOption>): PortsMatch['flags'] | 'wrong' {
  const syn = given.get('--syn')
  const listed = given.get('--tcp-flags')
  if (syn !== undefined && listed !== undefined) return 'wrong'
  if (syn !== undefined) return { negated: syn.negated, mask: ['FIN', 'SYN', 'RST', 'ACK'], set: ['SYN'] }
  if (listed === undefined) return undefined
  const [mask, set] = listed.values.map((text) => flagsOf(text))
  return mask === undefined || set === undefined ? 'wrong' : { negated: listed.negated, mask, set }
}

const flagsOf = (text: string): readonly TcpFlag[] | undefined => {
  if (text === 'ALL') return FLAGS
  return text === 'NONE' ? [] : listOf(text, FLAGS)
}

const writePorts = ({ source, destination, flags }: PortsMatch): readonly string[] => [
  ...(source === undefined ? [] : optionWords('--sport', { negated: source.negated, value: spellPorts(source) })),
  ...(destination === undefined
    ? []
    : optionWords('--dport', { negated: destination.negated, value: spellPorts(destination) })),
  ...(flags === undefined
    ? []
    : [
        ...optionWords('--tcp-flags', { negated: flags.negated, value: spellFlags(flags.mask) }),
        spellFlags(flags.set),
      ]),
]

const spellFlags = (flags: readonly TcpFlag[]): string => (flags.length === 0 ? 'NONE' : flags.join(','))
