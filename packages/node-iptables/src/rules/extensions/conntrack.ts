import type { ConntrackState, Match } from '../rule.js'
import { listOf } from '../values.js'
import { optionWords, valueOf } from './extension.js'
import type { Extension } from './extension.js'

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
