import type { PhysdevMatch } from '../rule.js'
import { isInterfaceName } from '../values.js'
import { optionWords, valueOf } from './extension.js'
import type { Extension, GivenOption } from './extension.js'

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
