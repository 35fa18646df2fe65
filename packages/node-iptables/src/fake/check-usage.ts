import { isIPv4 } from 'node:net'
import { assertNever } from '../assert-never.js'
import type { Variant } from '../capabilities.js'
import type { Family } from '../executables.js'
import type { Match, Rule, Target } from '../rules/rule.js'
import { REJECT_KINDS } from './canonical-rule.js'

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
      if (target.chain === 'DROP' && table === 'nat') {
        return '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'
      }
      return undefined
    case 'other':
      return otherError('target', target)
    case 'goto':
    case 'MARK':
      return undefined
    default:
      return assertNever(target)
  }
}

const PORTS_NEED_PROTOCOL = 'Need TCP, UDP, SCTP or DCCP with port specification'
const PORT_PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', '33'])

const hasPorts = ({ protocol }: Rule): boolean =>
  protocol !== undefined && !protocol.negated && PORT_PROTOCOLS.has(protocol.name)

function addressError(
  to: string,
  { rule, family }: { readonly rule: Rule; readonly family: Family },
): string | undefined {
  const isVersion4 = /^[\d.]+(?::\d+)?$/.test(to)
  if (isVersion4 !== (family === 'IPv4')) return `Bad IP address "${to}"\n`
  const withPort = isVersion4 ? to.includes(':') : to.startsWith('[')
  return withPort && !hasPorts(rule) ? PORTS_NEED_PROTOCOL : undefined
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

/** Other matches and targets that iptables has. Their options are taken as they are. */
const OTHER_MATCHES =
  'connbytes connlimit connmark dscp hashlimit icmp icmp6 iprange length limit mac multiport owner pkttype set socket state string tcpmss time ttl u32'
const OTHER_TARGETS = 'CONNMARK CT LOG NETMAP NFLOG NFQUEUE NOTRACK REDIRECT SET TCPMSS TPROXY TRACE'
const OTHER_EXTENSIONS: ReadonlySet<string> = new Set(`${OTHER_MATCHES} ${OTHER_TARGETS}`.split(' '))

/** Whether `-j NAME` without options is a target of iptables, and not a chain. */
export const isTargetName = (name: string): boolean => OTHER_EXTENSIONS.has(name) && name.toUpperCase() === name
