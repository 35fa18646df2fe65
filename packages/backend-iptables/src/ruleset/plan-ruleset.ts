import { inOverlapOrder, type ProxyConfig, type State } from '@pointsman/core'
import { rulesetContext, type RulesetOptions } from './context.js'
import { planBase } from './base-rules.js'
import { planService } from './service-rules.js'
import type { Ruleset } from './ruleset.js'

/** All rules of one family for a state: those of kube-proxy 1.36. The same state gives the same rules, in the same order. */
export function planRuleset(
  state: Pick<State, 'node' | 'services' | 'endpoints'>,
  config: ProxyConfig,
  options: RulesetOptions,
): Ruleset {
  const context = rulesetContext(state, config, options)
  const ports = [...state.services.values()].filter(({ family }) => family === options.family)
  return {
    family: options.family,
    base: planBase(context),
    services: inOverlapOrder(ports).map((port) => planService(port, state.endpoints.get(port.id) ?? [], context)),
  }
}
