import { addressOf } from '../networks.js'
import type { RecentMatch } from '../rule.js'
import { isBareName, numberOf, UINT32 } from '../values.js'
import { flagWords, optionWords } from './extension.js'
import type { Extension, GivenOption } from './extension.js'

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
