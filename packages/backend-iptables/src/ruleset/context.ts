import {
  answersOnLocalhost,
  assertNever,
  displayName,
  frontTrafficOf,
  localSourceOf,
  nodeIpOf,
  nodePortAddressesOf,
  portTraffic,
  selectEndpoints,
  type DetectLocal,
  type Endpoint,
  type EndpointSelection,
  type FrontPath,
  type FrontTraffic,
  type HeldPort,
  type IpFamily,
  type NodeInfo,
  type PortTraffic,
  type ProxyConfig,
  type SelectionInput,
  type ServicePort,
  type State,
} from '@pointsman/core'
import type { Rule, Target } from 'node-iptables'
import { DROP_MARKS, layoutOf, serviceChainNames, type Layout, type ServiceChainNames } from './layout.js'
import { DROP, from, notFrom, rejectIn } from './matches.js'

/** What the machine has, and what is asked for, besides the configuration that kube-proxy would have. */
export interface RulesetOptions {
  readonly family: IpFamily
  /** Whether iptables knows `--random-fully` (1.6.2 and later do). Default: it does. */
  readonly randomFully?: boolean | undefined
  /** Count in nfacct objects, which have to be there. Default: don't. */
  readonly nfacct?: boolean | undefined
  /** What the kernel's nf_conntrack_tcp_be_liberal is, when that is known. Default: as configured. */
  readonly tcpBeLiberal?: boolean | undefined
  /** Addresses that the node's interfaces have. Default: those of the Node object, and loopback. */
  readonly interfaceAddresses?: readonly string[] | undefined
  /** External IPs of the node whose ports other processes have: layout `classic` leaves out their rules. Default: none. */
  readonly unheldExternalIPs?: readonly HeldPort[] | undefined
  /** Comment endpoints' rules in a large cluster too, which kube-proxy does not. Default: as kube-proxy. */
  readonly keepComments?: boolean | undefined
}

/** All that the rules of one service port are made from, besides itself and its endpoints. */
export interface RulesetContext {
  readonly layout: Layout
  readonly family: IpFamily
  /** The node that the rules are for. */
  readonly node: NodeInfo | undefined
  readonly nodeIp: string
  /** Undefined: not configured, or not for this family. */
  readonly localTraffic: LocalTraffic | undefined
  readonly masqueradeAll: boolean
  /** The bit of a packet's mark that asks for masquerading. */
  readonly masqueradeMark: number
  /** The bit that has a packet dropped, in layout `classic`. */
  readonly dropMark: number
  /** Node ports answer on loopback addresses: on 127.0.0.0/8, and in layout `classic` the rules take ::1 as well. */
  readonly localhostNodePorts: boolean
  readonly nodePortAddresses: 'all' | readonly string[]
  /** External IPs that no rules lead to: `UDP 192.168.55.10 53`. */
  readonly unheldExternalIPs: readonly string[]
  readonly dropInvalid: boolean
  readonly randomFully: boolean
  readonly nfacct: boolean
  /** Whether rules of endpoints, and those that lead to them, say whose they are. */
  readonly endpointComments: boolean
}

export function rulesetContext(
  state: Pick<State, 'node' | 'services' | 'endpoints'>,
  config: ProxyConfig,
  options: RulesetOptions,
): RulesetContext {
  const { family, randomFully = true, nfacct = false, keepComments = false } = options
  const { node } = state
  const layout = layoutOf(config)
  // kube-proxy 1.20 has no settings for these, and does as it does.
  const isClassic = layout.name === 'classic'
  return {
    layout,
    family,
    node,
    nodeIp: nodeIpOf(node, family, config),
    localTraffic: localTrafficOf(config.detectLocal, { node, family }),
    masqueradeAll: config.masqueradeAll,
    masqueradeMark: 2 ** config.masqueradeBit,
    dropMark: DROP_MARKS[2 ** config.masqueradeBit === DROP_MARKS[0] ? 1 : 0],
    localhostNodePorts: isClassic || answersOnLocalhost(config, family, node),
    nodePortAddresses: nodePortAddressesOf(config, family, { node, interfaceAddresses: options.interfaceAddresses }),
    unheldExternalIPs: isClassic ? unheldIn(family, options.unheldExternalIPs) : [],
    dropInvalid: isClassic || !(options.tcpBeLiberal ?? config.tcpBeLiberal),
    randomFully,
    nfacct: nfacct && !isClassic,
    endpointComments: keepComments || !isLargeCluster(state, { family, layout }),
  }
}

const unheldIn = (family: IpFamily, unheld: readonly HeldPort[] = []): readonly string[] =>
  unheld.filter((one) => one.family === family).map(({ protocol, address, port }) => `${protocol} ${address} ${port}`)

/**
 * Whether there are so many endpoints that kube-proxy leaves comments out: more than 1000 of the family, whatever their
 * conditions, each counted once a service port; in layout `classic` ready ones alone.
 */
export function isLargeCluster(
  { services, endpoints }: Pick<State, 'services' | 'endpoints'>,
  { family, layout }: Pick<RulesetContext, 'family' | 'layout'>,
): boolean {
  let count = 0
  for (const [id, port] of services) {
    if (port.family !== family) continue
    const list = endpoints.get(id) ?? []
    count += layout.name === 'classic' ? list.filter(({ ready }) => ready).length : list.length
  }
  return count > LARGE_CLUSTER_ENDPOINTS
}

const LARGE_CLUSTER_ENDPOINTS = 1000

/** What tells packets that pods of this node send from all others, as parts of a rule. */
interface LocalTraffic {
  readonly ifLocal: Pick<Rule, 'source' | 'inInterface'>
  /** Undefined: every packet is local, and no rule has to ask. */
  readonly ifNotLocal: Pick<Rule, 'source' | 'inInterface'> | undefined
}

/** `localSourceOf` as parts of a rule. */
function localTrafficOf(
  detectLocal: DetectLocal,
  of: { readonly node: NodeInfo | undefined; readonly family: IpFamily },
): LocalTraffic | undefined {
  const source = localSourceOf(detectLocal, of)
  switch (source?.type) {
    case undefined:
      return undefined
    case 'cidr': {
      const { text, prefix } = source.cidr
      // iptables on nf_tables refuses a rule that matches no address, and the whole restore with it: no rule asks.
      return { ifLocal: from(text), ifNotLocal: prefix === 0 ? undefined : notFrom(text) }
    }
    case 'interface':
      return byInterface(source.name)
    case 'interfacePrefix':
      // To iptables a name that ends in a plus stands for all that begin so.
      return byInterface(`${source.prefix}+`)
    default:
      return assertNever(source)
  }
}

const byInterface = (name: string): LocalTraffic => ({
  ifLocal: { inInterface: { name, negated: false } },
  ifNotLocal: { inInterface: { name, negated: true } },
})

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
  const port = isClassic ? portAsOf120(given, context) : given
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
    ? selectEndpoints({
        port: portAsOf120(port, { unheldExternalIPs: [] }),
        endpoints: endpointsAsOf120(endpoints),
        node,
      })
    : selectEndpoints({ port, endpoints, node })

/**
 * What kube-proxy 1.20 knows of a service port: no internal traffic policy (1.21), no ipMode (1.29), an external traffic policy
 * only of types NodePort and LoadBalancer, and source ranges also where one holds every address. It writes no rules, not even those
 * that reject, for an external IP of the node whose port it cannot hold open; those of a node port it writes nevertheless.
 */
function portAsOf120(
  port: ServicePort,
  { unheldExternalIPs: unheld }: Pick<RulesetContext, 'unheldExternalIPs'>,
): ServicePort {
  const { externalTrafficPolicy, nodePort, healthCheckNodePort, loadBalancerProxyIPs } = port
  const { externalIPs, protocol } = port
  const { loadBalancerSourceRanges, voidSourceRanges = loadBalancerSourceRanges } = port
  const loadBalancerVIPs = [...port.loadBalancerVIPs, ...loadBalancerProxyIPs]
  const hasPolicy = nodePort !== 0 || healthCheckNodePort !== 0 || loadBalancerVIPs.length > 0
  return {
    ...port,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: hasPolicy ? externalTrafficPolicy : 'Cluster',
    externalIPs:
      unheld.length === 0
        ? externalIPs
        : externalIPs.filter((address) => !unheld.includes(`${protocol} ${address} ${port.port}`)),
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
