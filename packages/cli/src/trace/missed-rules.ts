import type { MissedRule, Way } from '@pointsman/core'

/** Whether it is worth telling that a rule did not match. `rewritten`: the packet has been sent to another place by then. */
export type IsTelling = (missed: MissedRule, at: { readonly rewritten: boolean }) => boolean

/**
 * Of rules that did not match, those that people ask about: they are for the packet's own destination, for a Service that
 * other rules on its way are for, or they would have matched but for something that had to be assumed. A packet that has
 * been sent to an endpoint has no more to do with the addresses of Services.
 */
export function tellingRules(ways: readonly Way[]): IsTelling {
  const services = new Set<string>()
  for (const { steps } of ways) {
    for (const step of steps) {
      const service = step.type === 'rule' ? step.rule.service?.name : undefined
      if (service !== undefined) services.add(service)
    }
  }
  return ({ rule, conditions }, { rewritten }) => {
    if (!rewritten && services.has(rule.service?.name ?? '')) return true
    const failed = conditions.filter(({ holds }) => !holds)
    if (failed.every(({ assumed }) => assumed)) return true
    return isForItsDestination({ conditions })
  }
}

/** Whether the rule asks for the one address that the packet is sent to. */
export const isForItsDestination = ({ conditions }: Pick<MissedRule, 'conditions'>): boolean =>
  conditions.some(({ field, value, holds }) => holds && field === 'destination' && value !== undefined)
