import {
  displayName,
  frontTrafficOf,
  portTraffic,
  type Endpoint,
  type EndpointSelection,
  type FrontPath,
  type FrontTraffic,
  type PortTraffic,
  type ServicePort,
} from '@pointsman/core'
import type { Target } from 'node-iptables'
import { serviceChainNames, type ServiceChainNames } from './layout.js'
import type { RulesetContext } from './context.js'
import { DROP, rejectIn } from './matches.js'

/** A service port, and what follows for all of its rules from what its traffic means. */
export interface PortPlan {
  readonly port: ServicePort
  readonly context: RulesetContext
  /** What comments call it. */
  readonly name: string
  readonly chains: ServiceChainNames
  readonly traffic: PortTraffic
  readonly selection: EndpointSelection
  /** The chain that traffic to the cluster IP goes to. Undefined: it has no endpoints there. */
  readonly internalChain: string | undefined
  /** The chain that external traffic goes to in the end. Undefined: it has no endpoints there. */
  readonly externalChain: string | undefined
  /** Whether there is a KUBE-EXT- chain: also where only pods' and the node's own traffic has endpoints. */
  readonly usesExternal: boolean
  /** Whether there is a KUBE-FW- chain: source ranges guard the load balancer's addresses. */
  readonly usesFirewall: boolean
}

export function portPlan(port: ServicePort, endpoints: readonly Endpoint[], context: RulesetContext): PortPlan {
  const chains = serviceChainNames(port, context.layout)
  const traffic = portTraffic({ port, endpoints, node: context.node })
  const chainOf = (policy: 'Cluster' | 'Local' | undefined): string | undefined =>
    policy && (policy === 'Cluster' ? chains.cluster : chains.local)
  return {
    port,
    context,
    name: displayName(port),
    chains,
    traffic,
    selection: traffic.selection,
    internalChain: chainOf(traffic.internal),
    externalChain: chainOf(traffic.external),
    usesExternal: traffic.takesExternal,
    usesFirewall: traffic.isGuarded,
  }
}

/** What the filter table says to traffic for which there are no endpoints. */
export const refusal = ({ traffic, name, context }: PortPlan): { readonly because: string; readonly target: Target } =>
  traffic.refused === 'dropped'
    ? { because: `${name} has no local endpoints`, target: DROP }
    : { because: `${name} has no endpoints`, target: rejectIn(context.family) }

/** The paths of all fronts of a service port, in the order of `frontsOf`: what its rules say, in a line a front. */
export function frontPaths(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  context: RulesetContext,
): readonly FrontPath[] {
  const plan = portPlan(port, endpoints, context)
  return frontTrafficOf(plan.traffic, { tellsPods: context.localTraffic !== undefined }).map((traffic) => {
    const chain = chainTo(traffic, plan)
    return chain === undefined ? traffic : { ...traffic, chain }
  })
}

function chainTo({ front }: FrontTraffic, plan: PortPlan): string | undefined {
  const { chains, internalChain, usesExternal, usesFirewall } = plan
  if (front.type === 'clusterIP') return internalChain
  if (!usesExternal) return undefined
  return usesFirewall && front.type === 'loadBalancerIP' ? chains.firewall : chains.external
}
