import { isIPv4, isIPv6 } from 'node:net'
import type { Family } from '../detect-variant.js'
import type { Variant } from '../iptables.js'
import { MATCHES, TARGETS } from '../rules/parse-rule.js'
import { assertNever, type Match, type Rule, type Target } from '../rules/rule.js'
import { REJECT_KINDS } from './rule-checks.js'

export interface RulePlacement {
  readonly variant: Variant
  readonly family: Family
  readonly table: string
  readonly chain: string
}

/** What iptables itself says against a canonical rule, before it looks at the tables. Undefined: nothing. */
export function usageError(rule: Rule, { variant, family, table, chain }: RulePlacement): string | undefined {
  return (
    interfaceError(rule, chain) ??
    familyError(rule, family) ??
    rule.matches.map((match) => matchError(match, { rule, variant })).find((error) => error !== undefined) ??
    (rule.target === undefined ? undefined : targetError(rule.target, { rule, table, family }))
  )
}

function interfaceError({ inInterface, outInterface }: Rule, chain: string): string | undefined {
  if (inInterface !== undefined && (chain === 'OUTPUT' || chain === 'POSTROUTING'))
    return `Can't use -i with ${chain}\n`
  if (outInterface !== undefined && (chain === 'INPUT' || chain === 'PREROUTING')) return `Can't use -o with ${chain}\n`
  return undefined
}

function familyError({ source, destination, fragment }: Rule, family: Family): string | undefined {
  for (const network of [source?.network, destination?.network]) {
    const [address = ''] = network?.split('/') ?? []
    if (network !== undefined && isIPv4(address) !== (family === 'IPv4')) return `host/network \`${address}' not found`
  }
  return fragment !== undefined && family === 'IPv6' ? 'unknown option "-f"' : undefined
}

interface MatchContext {
  readonly rule: Rule
  readonly variant: Variant
}

function matchError(match: Match, { rule, variant }: MatchContext): string | undefined {
  if (match.type === 'other') return otherError('match', match)
  if (match.type === 'recent') {
    if (match.reap && match.seconds === undefined) return 'recent: option "--reap" also requires "--seconds".\n'
    return undefined
  }
  // legacy leaves this to the kernel.
  if (variant === 'nft' && (match.type === 'tcp' || match.type === 'udp') && rule.protocol?.name !== match.type) {
    return `${match.type.toUpperCase()} match requires '-p ${match.type}'`
  }
  return undefined
}

interface TargetContext {
  readonly rule: Rule
  readonly table: string
  readonly family: Family
}

function targetError(target: Target, { rule, table, family }: TargetContext): string | undefined {
  switch (target.type) {
    case 'DNAT':
    case 'SNAT':
      return addressError(target.to, { rule, family })
    case 'MASQUERADE':
      return target.ports === undefined || hasPorts(rule) ? undefined : PORTS_NEED_PROTOCOL
    case 'REJECT':
      return target.with === undefined || REJECT_KINDS[family].includes(target.with)
        ? undefined
        : `unknown reject type "${target.with}"`
    case 'jump':
      return target.chain === 'DROP' && table === 'nat' ? NAT_IS_NO_FILTER : undefined
    case 'other':
      return isAddressRange(target, family) ? undefined : otherError('target', target)
    case 'goto':
    case 'MARK':
      return undefined
    default:
      return assertNever(target)
  }
}

/** What iptables says to a rule or a policy that drops there; a chain's line may. */
export const NAT_IS_NO_FILTER =
  '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'

const PORTS_NEED_PROTOCOL = 'Need TCP, UDP, SCTP or DCCP with port specification'
const PORT_PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', '33'])

/** The contrary of such a protocol will do. */
const hasPorts = ({ protocol }: Rule): boolean => protocol !== undefined && PORT_PROTOCOLS.has(protocol.name)

function addressError(
  to: string,
  { rule, family }: { readonly rule: Rule; readonly family: Family },
): string | undefined {
  const isVersion4 = /^[\d.]+(?::\d+)?$/.test(to)
  if (isVersion4 !== (family === 'IPv4')) return `Bad IP address "${to}"\n`
  const withPort = isVersion4 ? to.includes(':') : to.startsWith('[')
  return withPort && !hasPorts(rule) ? PORTS_NEED_PROTOCOL : undefined
}

/** `--to-source 10.0.0.1-10.0.0.9`, which is kept word by word. */
function isAddressRange(
  { name, words }: { readonly name: string; readonly words: readonly string[] },
  family: Family,
): boolean {
  const at = words.indexOf(name === 'DNAT' ? '--to-destination' : '--to-source')
  const ends = words[at + 1]?.split('-') ?? []
  return at >= 0 && ends.length === 2 && ends.every((end) => (family === 'IPv4' ? isIPv4(end) : isIPv6(end)))
}

/** A match or target that is kept word by word: one that the fake does not know, or options that make no sense. */
function otherError(
  kind: 'match' | 'target',
  { name, words }: { readonly name: string; readonly words: readonly string[] },
): string | undefined {
  const further = FURTHER_OPTIONS.get(name)
  if (further === undefined) {
    return OTHER_EXTENSIONS.has(name) ? undefined : `Couldn't load ${kind} \`${name}':No such file or directory\n`
  }
  if (words.some((word) => further.includes(word))) return undefined
  const unknown = words.find((word) => word.startsWith('--') && KNOWN_OPTIONS.get(name)?.has(word) !== true)
  if (unknown !== undefined) return `unknown option "${unknown}"`
  return `${name}: the options ${JSON.stringify(words.join(' '))} cannot stand so`
}

/** Options of known matches and targets that are kept word by word. */
const FURTHER_OPTIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['addrtype', []],
  ['comment', []],
  ['conntrack', ['--ctproto', '--ctorigsrc', '--ctorigdst', '--ctreplsrc', '--ctrepldst', '--ctstatus', '--ctdir']],
  ['mark', []],
  ['nfacct', []],
  ['physdev', []],
  ['recent', []],
  ['sctp', ['--chunk-types']],
  ['statistic', []],
  ['tcp', ['--tcp-option']],
  ['udp', []],
  ['MARK', []],
  ['DNAT', []],
  ['SNAT', []],
  ['MASQUERADE', []],
  ['REJECT', []],
])

/** The options of known matches and targets, by all of their names. */
const KNOWN_OPTIONS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  [...MATCHES, ...TARGETS].map(([name, { options, aliases = {} }]) => [
    name,
    new Set([...Object.keys(options), ...Object.keys(aliases)]),
  ]),
)

/** Other matches and targets that iptables has. Their options are taken as they are. */
const OTHER_MATCHES =
  'connbytes connlimit connmark dscp hashlimit icmp icmp6 iprange length limit mac multiport owner pkttype set socket state string tcpmss time ttl u32'
const OTHER_TARGETS = 'CONNMARK CT LOG NETMAP NFLOG NFQUEUE NOTRACK REDIRECT SET TCPMSS TPROXY TRACE'
const OTHER_EXTENSIONS: ReadonlySet<string> = new Set(`${OTHER_MATCHES} ${OTHER_TARGETS}`.split(' '))

/** Whether `-j NAME` without options is a target of iptables, and not a chain. */
export const isTargetName = (name: string): boolean => OTHER_EXTENSIONS.has(name) && name.toUpperCase() === name
