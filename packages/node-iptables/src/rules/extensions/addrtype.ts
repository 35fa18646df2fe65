import type { AddrtypeMatch } from '../rule.js'
import { listOf } from '../values.js'
import { flagWords, optionWords, valueOf } from './extension.js'
import type { Extension } from './extension.js'

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
