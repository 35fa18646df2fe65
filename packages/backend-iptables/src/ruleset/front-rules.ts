import type { Rule, Target } from 'node-iptables'
import { CHAINS } from './layout.js'
import { comment, jumpTo, protocolOf, to, toLocal, toPort } from './matches.js'
import { type PortPlan, refusal } from './context.js'
import type { ChainRules, Table } from './ruleset.js'

/*
 * Rules about what is sent to the fronts of a service port that every layout has, in whichever chain.
 */

export const rulesIn = (table: Table, chain: string, rules: readonly Rule[]): ChainRules => ({ table, chain, rules })

/** What the filter table says to traffic for which there are no endpoints. */
export const refusals = (plan: PortPlan): readonly ChainRules[] => [
  rulesIn('filter', CHAINS.services, refuseClusterIp(plan)),
  rulesIn('filter', CHAINS.externalServices, [...refuseExternalAddresses(plan), ...refuseNodePort(plan)]),
]

/** KUBE-SERVICES: a cluster IP without endpoints would otherwise be looked for outside of the node. */
function refuseClusterIp(plan: PortPlan): readonly Rule[] {
  if (plan.internalChain !== undefined) return []
  const { because, target } = refusal(plan)
  return [{ ...toClusterIp({ port: plan.port, because }), target }]
}

/**
 * KUBE-EXTERNAL-SERVICES: external addresses without endpoints. Pods and the node itself may have been served before: their
 * packets have an endpoint's address by then, and do not match.
 */
function refuseExternalAddresses(plan: PortPlan): readonly Rule[] {
  if (plan.externalChain !== undefined) return []
  return toAddresses(plan, [...plan.port.externalIPs, ...plan.port.loadBalancerVIPs], refusal(plan))
}

/** KUBE-EXTERNAL-SERVICES: a node port without endpoints, on any of the node's addresses. */
function refuseNodePort(plan: PortPlan): readonly Rule[] {
  const { port, externalChain } = plan
  if (port.nodePort === 0 || externalChain !== undefined) return []
  const { because, target } = refusal(plan)
  return [
    {
      ...protocolOf(port.protocol),
      matches: [comment(because), toLocal, toPort(port.protocol, port.nodePort)],
      target,
    },
  ]
}

/** KUBE-SERVICES in nat: what is sent to the cluster IP goes to the endpoints of the internal traffic policy. */
export const captureClusterIp = ({ port, name, internalChain }: PortPlan): readonly Rule[] =>
  internalChain === undefined
    ? []
    : [{ ...toClusterIp({ port, because: `${name} cluster IP` }), target: jumpTo(internalChain) }]

/**
 * Traffic to the cluster IP that no pod of this node sends is masqueraded. It may come from outside of the cluster by a route to
 * the service range, and its answers have to come back this way.
 */
export function masqueradeClusterIp({ port, name, context }: PortPlan): readonly Rule[] {
  const matched = toClusterIp({ port, because: `${name} cluster IP` })
  const target = jumpTo(CHAINS.markMasq)
  if (context.masqueradeAll) return [{ ...matched, target }]
  const { ifNotLocal } = context.localTraffic ?? {}
  return ifNotLocal === undefined ? [] : [{ ...matched, ...ifNotLocal, target }]
}

const toClusterIp = ({ port, because }: Pick<PortPlan, 'port'> & { readonly because: string }): Rule => ({
  ...to(port.clusterIP),
  ...protocolOf(port.protocol),
  matches: [comment(because), toPort(port.protocol, port.port)],
})

/** One rule an address. */
export const toAddresses = (
  { port }: Pick<PortPlan, 'port'>,
  addresses: readonly string[],
  { because, target }: { readonly because: string; readonly target: Target },
): readonly Rule[] =>
  addresses.map((address) => ({
    ...to(address),
    ...protocolOf(port.protocol),
    matches: [comment(because), toPort(port.protocol, port.port)],
    target,
  }))
