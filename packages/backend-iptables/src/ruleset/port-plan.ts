import {
  displayName,
  isExternallyAccessible,
  selectEndpoints,
  type Endpoint,
  type EndpointSelection,
  type ServicePort,
} from '@pointsman/core'
import type { Target } from 'node-iptables'
import { serviceChainNames, type ServiceChainNames } from './chain-names.js'
import type { RulesetContext } from './context.js'
import { DROP, rejectIn } from './matches.js'

/** A service port, and what follows for all of its rules from its policies and endpoints. */
export interface PortPlan {
  readonly port: ServicePort
  readonly context: RulesetContext
  /** What comments call it. */
  readonly name: string
  readonly chains: ServiceChainNames
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
  const chains = serviceChainNames(port)
  const selection = selectEndpoints({ port, endpoints, node: context.node })
  const chainOf = (policy: 'Cluster' | 'Local'): string | undefined => {
    if (policy === 'Cluster') return selection.hasEndpoints ? chains.cluster : undefined
    return selection.local.length > 0 ? chains.local : undefined
  }
  const { hasEndpoints } = selection
  return {
    port,
    context,
    name: displayName(port),
    chains,
    selection,
    internalChain: chainOf(port.internalTrafficPolicy),
    externalChain: chainOf(port.externalTrafficPolicy),
    usesExternal: hasEndpoints && isExternallyAccessible(port),
    usesFirewall: hasEndpoints && port.loadBalancerVIPs.length > 0 && port.loadBalancerSourceRanges.length > 0,
  }
}

/**
 * What the filter table says to traffic for which there are no endpoints. None in the whole cluster: the sender is told at
 * once. None on this node, and the policy is Local: dropped, because other nodes may have some, and a load balancer that
 * was not told yet goes on trying.
 */
export function refusal({ selection, name, context }: PortPlan): { readonly because: string; readonly target: Target } {
  return selection.hasEndpoints
    ? { because: `${name} has no local endpoints`, target: DROP }
    : { because: `${name} has no endpoints`, target: rejectIn(context.family) }
}
