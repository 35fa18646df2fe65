import { type Condition, type Effect, endpointKey } from '@pointsman/core'

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
