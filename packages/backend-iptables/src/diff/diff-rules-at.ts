import { isEqual, type ProxyConfig, type ServicePortName, type State } from '@pointsman/core'
import { type OwnedRule, ownedRules } from '../render/owned-rules.js'
import { type RulesetContext, rulesetContext, type RulesetOptions } from '../ruleset/context.js'
import { planBase } from '../ruleset/plan-base.js'
import { planService } from '../ruleset/plan-service.js'
import { type ChainDifference, diffRules } from './diff-rules.js'

/** What rules are made from at one point. */
export interface RulesAt {
  readonly state: State
  readonly config: ProxyConfig
}

/**
 * What differs between the rules of two points. Comments are there in both, however large the cluster was: that rules lose
 * them is no difference. Only service ports that differ are planned, unless what all rules depend on does.
 */
export function diffRulesAt(
  { before, after }: { readonly before: RulesAt; readonly after: RulesAt },
  options: Omit<RulesetOptions, 'keepComments'>,
): readonly ChainDifference[] {
  const contextOf = ({ state, config }: RulesAt): RulesetContext =>
    rulesetContext(state, config, { ...options, keepComments: true })
  const [was, is] = [contextOf(before), contextOf(after)]
  const ids = isEqual(was, is) ? differingPorts(before.state, after.state) : allPorts(before, after)
  return diffRules(rulesOf(ids, before.state, was), rulesOf(ids, after.state, is))
}

function* rulesOf(
  ids: ReadonlySet<ServicePortName>,
  { services, endpoints }: State,
  context: RulesetContext,
): Generator<OwnedRule, void, undefined> {
  const { family } = context
  yield* ownedRules({ family, base: planBase(context), services: [] })
  for (const id of ids) {
    const port = services.get(id)
    if (port?.family !== family) continue
    const plan = planService(port, endpoints.get(id) ?? [], context)
    yield* ownedRules({ family, base: { chains: [], jumps: [] }, services: [plan] })
  }
}

const allPorts = (before: RulesAt, after: RulesAt): ReadonlySet<ServicePortName> =>
  new Set([...before.state.services.keys(), ...after.state.services.keys()])

function differingPorts(before: State, after: State): ReadonlySet<ServicePortName> {
  const ids = [...new Set([...before.services.keys(), ...after.services.keys()])]
  return new Set(
    ids.filter(
      (id) =>
        !isEqual(before.services.get(id), after.services.get(id)) ||
        !isEqual(before.endpoints.get(id), after.endpoints.get(id)),
    ),
  )
}
