import { isIPv4 } from 'node:net'
import { addressOf } from '../networks.js'
import type { Match, Target } from '../rule.js'
import { hex, markOf, numberOf, portRangeOf, spellPorts, UINT32 } from '../values.js'
import { type Extension, flagWords, optionWords, valueOf } from './extension.js'

type DnatTarget = Extract<Target, { type: 'DNAT' }>
type SnatTarget = Extract<Target, { type: 'SNAT' }>
type MasqueradeTarget = Extract<Target, { type: 'MASQUERADE' }>

export const dnat: Extension<DnatTarget> = {
  options: { '--to-destination': { values: 1 }, '--random': { values: 0 }, '--persistent': { values: 0 } },
  read: (given) => {
    const to = placeOf(given.get('--to-destination')?.values[0] ?? '')
    if (to === undefined) return undefined
    return { type: 'DNAT', to, random: given.has('--random'), persistent: given.has('--persistent') }
  },
  write: ({ to, random, persistent }) =>
    placeOf(to) === to
      ? ['--to-destination', to, ...flagWords('--random', random), ...flagWords('--persistent', persistent)]
      : undefined,
}

export const snat: Extension<SnatTarget> = {
  options: {
    '--to-source': { values: 1 },
    '--random': { values: 0 },
    '--random-fully': { values: 0 },
    '--persistent': { values: 0 },
  },
  read: (given) => {
    const to = placeOf(given.get('--to-source')?.values[0] ?? '')
    if (to === undefined) return undefined
    return {
      type: 'SNAT',
      to,
      random: given.has('--random'),
      randomFully: given.has('--random-fully'),
      persistent: given.has('--persistent'),
    }
  },
  write: ({ to, random, randomFully, persistent }) =>
    placeOf(to) === to
      ? [
          '--to-source',
          to,
          ...flagWords('--random', random),
          ...flagWords('--random-fully', randomFully),
          ...flagWords('--persistent', persistent),
        ]
      : undefined,
}

export const masquerade: Extension<MasqueradeTarget> = {
  options: { '--to-ports': { values: 1 }, '--random': { values: 0 }, '--random-fully': { values: 0 } },
  read: (given) => {
    const text = given.get('--to-ports')?.values[0]
    const ports = text === undefined || /^-|-$/.test(text) ? undefined : portRangeOf(text, '-')
    if (text !== undefined && ports === undefined) return undefined
    return {
      type: 'MASQUERADE',
      ...(ports === undefined ? {} : { ports }),
      random: given.has('--random'),
      randomFully: given.has('--random-fully'),
    }
  },
  write: ({ ports, random, randomFully }) => [
    ...(ports === undefined ? [] : ['--to-ports', spellPorts(ports, '-')]),
    ...flagWords('--random', random),
    ...flagWords('--random-fully', randomFully),
  ],
}

/** One address with a port or without, as iptables-save spells it. Undefined: a range, or nothing of this kind. */
function placeOf(text: string): string | undefined {
  const found = /^(?:(?<bare>[^[\]]+?)|\[(?<bracketed>[^[\]]+)\])(?::(?<port>\d+))?$/.exec(text)?.groups
  if (found === undefined) return undefined
  // Without brackets, what follows the colons of an IPv6 address is a part of it.
  const whole = addressOf(text)
  if (whole !== undefined) return whole
  const address = addressOf(found['bracketed'] ?? found['bare'] ?? '')
  if (address === undefined || (found['bracketed'] !== undefined && isIPv4(address))) return undefined
  if (found['bracketed'] === undefined && !isIPv4(address)) return undefined
  if (found['port'] === undefined) return address
  const port = numberOf(found['port'], 65_535)
  if (port === undefined || port < 1) return undefined
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`
}

type RejectTarget = Extract<Target, { type: 'REJECT' }>

export const reject: Extension<RejectTarget> = {
  options: { '--reject-with': { values: 1 } },
  read: (given) => {
    const [kind] = given.get('--reject-with')?.values ?? []
    if (kind === undefined) return { type: 'REJECT' }
    const name = SHORT_NAMES.get(kind) ?? kind
    return KINDS.has(name) ? { type: 'REJECT', with: name } : undefined
  },
  write: (target) =>
    target.with === undefined ? [] : KINDS.has(target.with) ? ['--reject-with', target.with] : undefined,
}

const KINDS: ReadonlySet<string> = new Set([
  'icmp-net-unreachable',
  'icmp-host-unreachable',
  'icmp-proto-unreachable',
  'icmp-port-unreachable',
  'icmp-net-prohibited',
  'icmp-host-prohibited',
  'icmp-admin-prohibited',
  'tcp-reset',
  'icmp6-no-route',
  'icmp6-adm-prohibited',
  'icmp6-addr-unreachable',
  'icmp6-port-unreachable',
])

/** Short names that mean the same in both families; `port-unreach` and others do not, and are kept as they are. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['tcp-rst', 'tcp-reset'],
  ['no-route', 'icmp6-no-route'],
  ['adm-prohibited', 'icmp6-adm-prohibited'],
])

type MarkMatch = Extract<Match, { type: 'mark' }>
type MarkTarget = Extract<Target, { type: 'MARK' }>

export const mark: Extension<MarkMatch> = {
  options: { '--mark': { values: 1, negatable: true } },
  read: (given) => {
    const found = valueOf(given, '--mark', markOf)
    if (found === undefined || found === 'wrong') return undefined
    return { type: 'mark', negated: found.negated, value: found.value, mask: found.mask ?? UINT32 }
  },
  write: ({ negated, value, mask }) =>
    optionWords('--mark', { negated, value: mask === UINT32 ? hex(value) : `${hex(value)}/${hex(mask)}` }),
}

/** The older spellings are all cases of `--set-xmark`, which is what iptables-save prints. */
export const markTarget: Extension<MarkTarget> = {
  options: {
    '--set-xmark': { values: 1 },
    '--set-mark': { values: 1 },
    '--and-mark': { values: 1 },
    '--or-mark': { values: 1 },
    '--xor-mark': { values: 1 },
  },
  read: (given) => {
    const [first, ...more] = given
    if (first === undefined || more.length > 0) return undefined
    const [name, option] = first
    const found = markOf(option.values[0] ?? '')
    return found === undefined ? undefined : xmarkOf(name, found)
  },
  write: ({ value, mask }) => ['--set-xmark', `${hex(value)}/${hex(mask)}`],
}

function xmarkOf(name: string, { value, mask }: NonNullable<ReturnType<typeof markOf>>): MarkTarget | undefined {
  const xmark = (xored: number, cleared: number): MarkTarget => ({
    type: 'MARK',
    value: xored >>> 0,
    mask: cleared >>> 0,
  })
  if (name === '--set-xmark') return xmark(value, mask ?? UINT32)
  if (name === '--set-mark') return xmark(value, mask === undefined ? UINT32 : mask | value)
  if (mask !== undefined) return undefined
  if (name === '--and-mark') return xmark(0, ~value)
  return name === '--or-mark' ? xmark(value, value) : xmark(value, 0)
}
