import type { Match } from '../rule.js'
import { numberOf, UINT32 } from '../values.js'
import { optionWords } from './extension.js'
import type { Extension, GivenOption } from './extension.js'

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
