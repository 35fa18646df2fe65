import type { PortRange, PortsMatch, TcpFlag } from '../rule.js'
import { isAnyPort, listOf, portRangeOf, spellPorts } from '../values.js'
import { optionWords, valueOf } from './extension.js'
import type { Extension, GivenOption } from './extension.js'

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
  const source = valueOf(given, '--sport', portRangeOf)
  const destination = valueOf(given, '--dport', portRangeOf)
  if (source === 'wrong' || destination === 'wrong') return undefined
  return { type, ...kept('source', source), ...kept('destination', destination) }
}

/** All ports is no condition, and iptables-save does not print it. */
const kept = (
  name: 'source' | 'destination',
  range: (PortRange & { readonly negated: boolean }) | undefined,
): Partial<PortsMatch> => (range === undefined || (isAnyPort(range) && !range.negated) ? {} : { [name]: range })

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
