import type { Match, Target } from '../rule.js'
import { hex, markOf, UINT32 } from '../values.js'
import { optionWords, valueOf } from './extension.js'
import type { Extension } from './extension.js'

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
