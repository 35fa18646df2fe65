import { endpointKey, type Endpoint } from '@pointsman/core'
import type { Match, Rule } from 'node-iptables'
import { endpointChainName } from './chain-names.js'
import { comment, jumpTo } from './matches.js'
import type { PortPlan } from './port-plan.js'
import { oneIn } from './random-share.js'
import { isRemembered } from './session-affinity.js'

/** KUBE-SVC- and KUBE-SVL-: each packet that gets here goes to one of the endpoints, each with the same odds. */
export function spreadRules(plan: PortPlan, endpoints: readonly Endpoint[]): readonly Rule[] {
  const { port } = plan
  const targets = endpoints.map((endpoint) => ({ endpoint, chain: endpointChainName(port, endpoint) }))
  return [
    // A client that is remembered goes where it went before; only then is there a choice.
    ...(port.affinitySeconds === 0
      ? []
      : targets.map((target) => ruleTo(plan, target, [isRemembered(port, target.chain, plan.context.family)]))),
    // One in n takes its share, one in n - 1 an equal share of the rest, and so on; the last takes what is left.
    ...targets.map((target, index) => {
      const left = targets.length - index
      return ruleTo(plan, target, left === 1 ? [] : [oneIn(left)])
    }),
  ]
}

function ruleTo(
  { name, context }: PortPlan,
  { endpoint, chain }: { readonly endpoint: Endpoint; readonly chain: string },
  matches: readonly Match[],
): Rule {
  const named = context.endpointComments ? [comment(`${name} -> ${endpointKey(endpoint)}`)] : []
  return { matches: [...named, ...matches], target: jumpTo(chain) }
}
