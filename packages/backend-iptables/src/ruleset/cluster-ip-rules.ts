import type { Rule } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import { comment, jumpTo, protocolOf, to, toPort } from './matches.js'
import { refusal, type PortPlan } from './port-plan.js'

/** KUBE-SERVICES in nat: what is sent to the cluster IP goes to the endpoints of the internal traffic policy. */
export const captureClusterIp = ({ port, name, internalChain }: PortPlan): readonly Rule[] =>
  internalChain === undefined
    ? []
    : [{ ...toClusterIp({ port, because: `${name} cluster IP` }), target: jumpTo(internalChain) }]

/** KUBE-SERVICES in filter: a cluster IP without endpoints would otherwise be looked for outside of the node. */
export function refuseClusterIp(plan: PortPlan): readonly Rule[] {
  if (plan.internalChain !== undefined) return []
  const { because, target } = refusal(plan)
  return [{ ...toClusterIp({ port: plan.port, because }), target }]
}

/**
 * The head of the chain that the cluster IP leads to: traffic that no pod of this node sends is masqueraded. It may come
 * from outside of the cluster by a route to the service range, and its answers have to come back this way.
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
