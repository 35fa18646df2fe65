import { addressOf } from '../networks.js'
import type { AddrtypeMatch, ConntrackState, Match, PhysdevMatch, RecentMatch } from '../rule.js'
import { isBareName, isInterfaceName, listOf, numberOf, quoteWord, UINT32 } from '../values.js'
import { type Extension, flagWords, type GivenOption, optionWords, valueOf } from './extension.js'

const TYPES = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
] as const

export const addrtype: Extension<AddrtypeMatch> = {
  options: {
    '--src-type': { values: 1, negatable: true },
    '--dst-type': { values: 1, negatable: true },
    '--limit-iface-in': { values: 0 },
    '--limit-iface-out': { values: 0 },
  },
  read: (given) => {
    const source = valueOf(given, '--src-type', typesOf)
    const destination = valueOf(given, '--dst-type', typesOf)
    const isIn = given.has('--limit-iface-in')
    const isOut = given.has('--limit-iface-out')
    if (source === 'wrong' || destination === 'wrong' || (isIn && isOut)) return undefined
    return {
      type: 'addrtype',
      ...(source === undefined ? {} : { source }),
      ...(destination === undefined ? {} : { destination }),
      ...(isIn || isOut ? { limit: isIn ? ('in' as const) : ('out' as const) } : {}),
    }
  },
  write: ({ source, destination, limit }) => [
    ...(source === undefined ? [] : optionWords('--src-type', { ...source, value: source.types.join(',') })),
    ...(destination === undefined
      ? []
      : optionWords('--dst-type', { ...destination, value: destination.types.join(',') })),
    ...flagWords(`--limit-iface-${limit ?? ''}`, limit !== undefined),
  ],
}

const typesOf = (text: string): { readonly types: readonly string[] } | undefined => {
  const types = listOf(text, TYPES)
  return types === undefined ? undefined : { types }
}

type CommentMatch = Extract<Match, { type: 'comment' }>

export const comment: Extension<CommentMatch> = {
  options: { '--comment': { values: 1 } },
  read: (given) => {
    const [text] = given.get('--comment')?.values ?? []
    const comment = text === undefined ? undefined : shortened(text)
    return comment === undefined ? undefined : { type: 'comment', comment }
  },
  write: (match) => {
    const word = quoteWord(match.comment)
    return word === undefined || Buffer.byteLength(match.comment) > MAX_BYTES ? undefined : ['--comment', word]
  },
}

// XT_MAX_COMMENT_LEN is 256 with the ending NUL.
const MAX_BYTES = 255

/** iptables cuts off what is too long. Undefined: it would cut through a character. */
function shortened(text: string): string | undefined {
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_BYTES) return text
  const kept = bytes.subarray(0, MAX_BYTES).toString('utf8')
  return text.startsWith(kept) ? kept : undefined
}

type ConntrackMatch = Extract<Match, { type: 'conntrack' }>

const STATES: readonly ConntrackState[] = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT']

export const conntrack: Extension<ConntrackMatch> = {
  options: { '--ctstate': { values: 1, negatable: true } },
  read: (given) => {
    const found = valueOf(given, '--ctstate', statesOf)
    return found === undefined || found === 'wrong' ? undefined : { type: 'conntrack', ...found }
  },
  write: ({ negated, states }) =>
    states.length === 0 ? undefined : optionWords('--ctstate', { negated, value: states.join(',') }),
}

const statesOf = (text: string): { readonly states: readonly ConntrackState[] } | undefined => {
  const states = listOf(text, STATES)
  return states === undefined ? undefined : { states }
}

type NfacctMatch = Extract<Match, { type: 'nfacct' }>

export const nfacct: Extension<NfacctMatch> = {
  options: { '--nfacct-name': { values: 1 } },
  read: (given) => {
    const [name] = given.get('--nfacct-name')?.values ?? []
    return name !== undefined && isObjectName(name) ? { type: 'nfacct', name } : undefined
  },
  // The empty word makes the second space, which iptables-save prints here.
  write: ({ name }) => (isObjectName(name) ? ['--nfacct-name', '', name] : undefined),
}

// NFACCT_NAME_MAX is 32 with the ending NUL.
const isObjectName = (name: string): boolean => isBareName(name) && Buffer.byteLength(name) < 32

export const physdev: Extension<PhysdevMatch> = {
  options: {
    '--physdev-is-in': { values: 0, negatable: true },
    '--physdev-in': { values: 1, negatable: true },
    '--physdev-is-out': { values: 0, negatable: true },
    '--physdev-out': { values: 1, negatable: true },
    '--physdev-is-bridged': { values: 0, negatable: true },
  },
  read: (given) => {
    const cameIn = valueOf(given, '--physdev-in', nameOf)
    const goesOut = valueOf(given, '--physdev-out', nameOf)
    if (given.size === 0 || cameIn === 'wrong' || goesOut === 'wrong') return undefined
    return {
      type: 'physdev',
      ...flag('isIn', given.get('--physdev-is-in')),
      ...(cameIn === undefined ? {} : { in: cameIn }),
      ...flag('isOut', given.get('--physdev-is-out')),
      ...(goesOut === undefined ? {} : { out: goesOut }),
      ...flag('isBridged', given.get('--physdev-is-bridged')),
    }
  },
  write: ({ isIn, in: cameIn, isOut, out: goesOut, isBridged }) => {
    if ([cameIn, goesOut].some((port) => port !== undefined && !isInterfaceName(port.name))) return undefined
    return [
      ...(isIn === undefined ? [] : optionWords('--physdev-is-in', isIn)),
      ...(cameIn === undefined ? [] : optionWords('--physdev-in', { ...cameIn, value: cameIn.name })),
      ...(isOut === undefined ? [] : optionWords('--physdev-is-out', isOut)),
      ...(goesOut === undefined ? [] : optionWords('--physdev-out', { ...goesOut, value: goesOut.name })),
      ...(isBridged === undefined ? [] : optionWords('--physdev-is-bridged', isBridged)),
    ]
  },
}

const nameOf = (name: string): { readonly name: string } | undefined => (isInterfaceName(name) ? { name } : undefined)

const flag = (name: 'isIn' | 'isOut' | 'isBridged', option: GivenOption | undefined): Partial<PhysdevMatch> =>
  option === undefined ? {} : { [name]: { negated: option.negated } }

const OPERATIONS: readonly RecentMatch['operation'][] = ['set', 'rcheck', 'update', 'remove']

export const recent: Extension<RecentMatch> = {
  options: {
    '--set': { values: 0, negatable: true },
    '--rcheck': { values: 0, negatable: true },
    '--update': { values: 0, negatable: true },
    '--remove': { values: 0, negatable: true },
    '--seconds': { values: 1 },
    '--reap': { values: 0 },
    '--hitcount': { values: 1 },
    '--rttl': { values: 0 },
    '--name': { values: 1 },
    '--mask': { values: 1 },
    '--rsource': { values: 0 },
    '--rdest': { values: 0 },
  },
  read: (given) => {
    const [operation, ...more] = OPERATIONS.filter((name) => given.has(`--${name}`))
    if (operation === undefined || more.length > 0 || (given.has('--rsource') && given.has('--rdest'))) return undefined
    const details = readDetails(given)
    return details === undefined
      ? undefined
      : {
          type: 'recent',
          operation,
          negated: given.get(`--${operation}`)?.negated === true,
          reap: given.has('--reap'),
          rttl: given.has('--rttl'),
          ...details,
        }
  },
  write: (match) => {
    const { operation, negated, seconds, reap, hitcount, rttl, name, mask, side } = match
    if (name !== undefined && !isListName(name)) return undefined
    return [
      ...optionWords(`--${operation}`, { negated }),
      ...(seconds === undefined ? [] : ['--seconds', String(seconds)]),
      ...flagWords('--reap', reap),
      ...(hitcount === undefined ? [] : ['--hitcount', String(hitcount)]),
      ...flagWords('--rttl', rttl),
      ...(name === undefined ? [] : ['--name', name]),
      ...(mask === undefined ? [] : ['--mask', mask]),
      ...(side === undefined ? [] : [side === 'source' ? '--rsource' : '--rdest']),
    ]
  },
}

type Details = Pick<RecentMatch, 'seconds' | 'hitcount' | 'name' | 'mask' | 'side'>

function readDetails(given: ReadonlyMap<string, GivenOption>): Details | undefined {
  const texts = (name: string): string | undefined => given.get(name)?.values[0]
  const seconds = numberOf(texts('--seconds') ?? '0', UINT32)
  const hitcount = numberOf(texts('--hitcount') ?? '0', UINT32)
  const mask = addressOf(texts('--mask') ?? '::')
  const name = texts('--name')
  if (seconds === undefined || hitcount === undefined || mask === undefined) return undefined
  if (name !== undefined && !isListName(name)) return undefined
  return {
    ...(given.has('--seconds') ? { seconds } : {}),
    ...(given.has('--hitcount') ? { hitcount } : {}),
    ...(name === undefined ? {} : { name }),
    ...(given.has('--mask') ? { mask } : {}),
    ...(given.has('--rsource') ? { side: 'source' as const } : {}),
    ...(given.has('--rdest') ? { side: 'destination' as const } : {}),
  }
}

// XT_RECENT_NAME_LEN is 200 with the ending NUL.
const isListName = (name: string): boolean => isBareName(name) && Buffer.byteLength(name) < 200

type StatisticMatch = Extract<Match, { type: 'statistic-random' | 'statistic-nth' }>

/** The kernel compares 31 random bits: a probability is a whole number of these. */
export const STATISTIC_CHANCES = 2 ** 31

export const statistic: Extension<StatisticMatch> = {
  options: {
    '--mode': { values: 1 },
    '--probability': { values: 1, negatable: true },
    '--every': { values: 1, negatable: true },
    '--packet': { values: 1 },
  },
  read: (given) => {
    const [mode] = given.get('--mode')?.values ?? []
    if (mode === 'random') return readRandom(given)
    return mode === 'nth' ? readNth(given) : undefined
  },
  write: (match) =>
    match.type === 'statistic-random'
      ? ['--mode', 'random', ...optionWords('--probability', { negated: match.negated, value: spell(match.chances) })]
      : [
          '--mode',
          'nth',
          ...optionWords('--every', { negated: match.negated, value: String(match.every) }),
          '--packet',
          String(match.packet),
        ],
}

const spell = (chances: number): string => (chances / STATISTIC_CHANCES).toFixed(11)

function readRandom(given: ReadonlyMap<string, GivenOption>): StatisticMatch | undefined {
  const option = given.get('--probability')
  const text = option?.values[0] ?? ''
  if (option === undefined || given.size > 2 || !/^(?:\d+(?:\.\d+)?|\.\d+)(?:e-?\d+)?$/i.test(text)) return undefined
  const probability = Number(text)
  if (probability > 1) return undefined
  return { type: 'statistic-random', negated: option.negated, chances: Math.round(probability * STATISTIC_CHANCES) }
}

function readNth(given: ReadonlyMap<string, GivenOption>): StatisticMatch | undefined {
  const option = given.get('--every')
  const every = numberOf(option?.values[0] ?? '', UINT32)
  const packet = numberOf(given.get('--packet')?.values[0] ?? '', UINT32)
  if (option === undefined || given.has('--probability') || every === undefined || packet === undefined)
    return undefined
  if (every < 1 || packet >= every) return undefined
  return { type: 'statistic-nth', negated: option.negated, every, packet }
}
