import type { Condition, Effect } from '@pointsman/backend-iptables'
import { endpointKey } from '@pointsman/core'
import { formatRule, type Match, type Rule } from 'node-iptables'

/** A rule's conditions in iptables' words, short: without comments, counters, its target, and what goes without saying. */
export function asksText({ target: _, matches, ...general }: Rule): string {
  const words = [formatRule({ ...general, matches: [] }), ...matches.map(matchText)].filter((text) => text !== '')
  return words.length === 0 ? 'any packet' : words.join(' ')
}

function matchText(match: Match): string {
  switch (match.type) {
    case 'comment':
    case 'nfacct':
      return ''
    case 'tcp':
    case 'udp':
    case 'sctp':
      // The protocol stands before it.
      return formatRule({ matches: [match] }).replace(/^-m \w+ ?/, '')
    case 'statistic-random':
      return `-m statistic${match.negated ? ' !' : ''} --probability ${(match.chances / 2 ** 31).toFixed(3)}`
    case 'recent':
      return formatRule({ matches: [match] }).replaceAll(
        / --(?:reap|rsource|mask (?:255\.255\.255\.255|(?:ffff:?){8}))/g,
        '',
      )
    case 'mark':
    case 'conntrack':
    case 'statistic-nth':
    case 'addrtype':
    case 'physdev':
    case 'other':
      return formatRule({ matches: [match] })
  }
}

export const commentOf = ({ matches }: Rule): string =>
  matches.flatMap((match) => (match.type === 'comment' ? [match.comment] : [])).join(', ')

/** The service port that a comment of kube-proxy names: `shop/checkout:http`. */
export const serviceIn = (rule: Rule): string | undefined =>
  /(?<=^|\s)[\w.-]+\/[\w.-]+(?::[\w-]+)?/.exec(commentOf(rule))?.[0]

/** The facts by which conditions fail, each once. */
export const whyNot = (conditions: readonly Condition[]): string =>
  [...new Set(conditions.filter(({ holds }) => !holds).map(({ because }) => because))].join(', ')

export function effectText(effect: Effect): string {
  switch (effect.type) {
    case 'jump':
      return effect.rules === 0 ? `-> ${effect.chain}, which is empty` : `-> ${effect.chain}`
    case 'goto':
      return `=> ${effect.chain}`
    case 'return':
      return 'return'
    case 'accept':
      return 'accepted'
    case 'drop':
      return 'dropped'
    case 'reject':
      return `rejected with ${effect.with}`
    case 'mark':
      return `mark 0x${effect.from.toString(16)} becomes 0x${effect.to.toString(16)}`
    case 'dnat':
      return `sent to ${endpointKey(effect)}`
    case 'snat':
      return `source becomes ${effect.address ?? "the node's"}`
    case 'untracked':
      return 'conntrack leaves it alone'
    case 'continue':
      return effect.what === 'no target' ? 'nothing' : effect.what
  }
}
