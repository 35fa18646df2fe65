import type { Rule } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import { comment, fromLocal, jumpTo } from './matches.js'
import type { PortPlan } from './port-plan.js'

/** KUBE-EXT-: what came by an external address or a node port. */
export function externalChainRules(plan: PortPlan): readonly Rule[] {
  const { port, externalChain } = plan
  return [
    ...(port.externalTrafficPolicy === 'Cluster' ? masqueradeAll(plan) : shortCircuits(plan)),
    // Without endpoints on this node what is left goes on untranslated, to KUBE-EXTERNAL-SERVICES.
    ...(externalChain === undefined ? [] : [{ matches: [], target: jumpTo(externalChain) }]),
  ]
}

/** The endpoint may be on another node, and its answer has to come back by this one. */
const masqueradeAll = ({ name }: PortPlan): readonly Rule[] => [
  { matches: [comment(`masquerade traffic for ${name} external destinations`)], target: jumpTo(CHAINS.markMasq) },
]

/**
 * Policy Local keeps the source address, and uses endpoints on this node alone. Pods and processes of this node are served
 * by all endpoints, as if their packets had gone out to the load balancer, which chose the node, and come back in.
 */
function shortCircuits({ name, chains, context }: PortPlan): readonly Rule[] {
  const toAnyEndpoint = jumpTo(chains.cluster)
  const forPods: readonly Rule[] =
    context.localTraffic === undefined
      ? []
      : [
          {
            ...context.localTraffic.ifLocal,
            matches: [comment(`pod traffic for ${name} external destinations`)],
            target: toAnyEndpoint,
          },
        ]
  return [
    ...forPods,
    // The address that the node sends from may be the load balancer's, which is no address to answer to.
    {
      matches: [comment(`masquerade LOCAL traffic for ${name} external destinations`), fromLocal],
      target: jumpTo(CHAINS.markMasq),
    },
    {
      matches: [comment(`route LOCAL traffic for ${name} external destinations`), fromLocal],
      target: toAnyEndpoint,
    },
  ]
}
