import {
  displayName,
  frontTrafficOf,
  portTraffic,
  type Endpoint,
  type EndpointSelection,
  type FrontPath,
  type FrontTraffic,
  type PortTraffic,
  selectEndpoints,
  type SelectionInput,
  type ServicePort,
} from '@pointsman/core'
import type { Target } from 'node-iptables'
import { type Layout, serviceChainNames, type ServiceChainNames } from './layout.js'
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
  /**
   * Whether there is a KUBE-FW- chain: source ranges guard the load balancer's addresses. In layout `classic` these always lead to one.
   */
  readonly usesFirewall: boolean
}

export function portPlan(given: ServicePort, all: readonly Endpoint[], context: RulesetContext): PortPlan {
  const isClassic = context.layout.name === 'classic'
  const port = isClassic ? portAsOf120(given) : given
  const endpoints = isClassic ? endpointsAsOf120(all) : all
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
    usesFirewall: isClassic ? traffic.selection.hasEndpoints && port.loadBalancerVIPs.length > 0 : traffic.isGuarded,
  }
}

/** The endpoints that the rules of a layout use. */
export const selectionIn = (
  { name }: Pick<Layout, 'name'>,
  { port, endpoints, node }: SelectionInput,
): EndpointSelection =>
  name === 'classic'
    ? selectEndpoints({ port: portAsOf120(port), endpoints: endpointsAsOf120(endpoints), node })
    : selectEndpoints({ port, endpoints, node })

/**
 * What kube-proxy 1.20 knows of a service port: no internal traffic policy (1.21), no ipMode (1.29), an external traffic policy
 * only of types NodePort and LoadBalancer, and source ranges also where one holds every address.
 */
function portAsOf120(port: ServicePort): ServicePort {
  const { externalTrafficPolicy, nodePort, healthCheckNodePort, loadBalancerProxyIPs } = port
  const { loadBalancerSourceRanges, voidSourceRanges = loadBalancerSourceRanges } = port
  const loadBalancerVIPs = [...port.loadBalancerVIPs, ...loadBalancerProxyIPs]
  const hasPolicy = nodePort !== 0 || healthCheckNodePort !== 0 || loadBalancerVIPs.length > 0
  return {
    ...port,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: hasPolicy ? externalTrafficPolicy : 'Cluster',
    loadBalancerVIPs,
    loadBalancerProxyIPs: [],
    loadBalancerSourceRanges: voidSourceRanges,
  }
}

/** It uses ready endpoints, and neither terminating ones nor hints. */
const endpointsAsOf120 = (endpoints: readonly Endpoint[]): readonly Endpoint[] =>
  endpoints.flatMap(({ zoneHints: _zones, nodeHints: _nodes, ...endpoint }) => (endpoint.ready ? [endpoint] : []))

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
  if (usesFirewall && front.type === 'loadBalancerIP') return chains.firewall
  const { context, port } = plan
  return context.layout.name === 'classic' && port.externalTrafficPolicy === 'Cluster'
    ? chains.cluster
    : chains.external
}
