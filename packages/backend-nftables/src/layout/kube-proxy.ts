import {
  displayName,
  endpointText,
  frontTrafficOf,
  isLocalEndpoint,
  portTraffic,
  reachableEndpoints,
  vipsLetIn,
  type Endpoint,
  type FrontPath,
  type PortTraffic,
  type ServicePort,
} from '@pointsman/core'
import type { Chain, Element, Rule, SetDeclaration, TableParts } from '../table/table.js'
import type { Layout, LayoutContext } from './layout.js'
import {
  endpointNames,
  isEndpointName,
  isServiceName,
  isSpreadName,
  namedBy,
  READING_ORDER,
  serviceChainNames,
  type ServiceChainNames,
} from './names.js'
import { addressType, CHAINS, isBaseName, planBase, rule, SETS } from './kube-proxy-base.js'
import {
  dnat,
  DROP,
  FROM_THIS_NODE,
  goto,
  isIn,
  isLocal,
  isProtocol,
  isWithin,
  remember,
  setMark,
  sourceAddress,
  spreadDnat,
  spreadGoto,
} from './statements.js'

/** The table of kube-proxy 1.36 in its nftables mode. */
export const KUBE_PROXY: Layout = {
  name: 'kube-proxy',
  table: (family) => ({ family: family === 'IPv4' ? 'ip' : 'ip6', name: 'kube-proxy' }),
  tableComment: 'rules for kube-proxy',
  base: planBase,
  service: (port, endpoints, context) => serviceParts(planOf(port, endpoints, context)),
  fronts,
  isServiceChain: isServiceName,
  isOwn: (name) => isServiceName(name) || isBaseName(name) || isSpreadName(name),
  // Of the other layout, which may be there before.
  removalStage: (set) => (isSpreadName(set) ? 1 : 0),
  isOfService(name, port) {
    const named = namedBy(name)
    if (named === undefined || named.service !== port.service || named.protocol !== port.protocol) return false
    return named.portName === undefined || named.portName === port.portName
  },
  meanings: ({ port, endpoints }) => {
    const { cluster, local, external, firewall } = serviceChainNames(port)
    return new Map([
      [firewall, 'drops what comes from outside of the source ranges of the load balancer'],
      [external, 'takes what comes by an external address or a node port'],
      [cluster, 'spreads over its endpoints'],
      [local, 'spreads over its endpoints on this node'],
      ...endpoints.flatMap((endpoint) => {
        const { chain, affinitySet } = endpointNames(port, endpoint)
        const text = endpointText(endpoint)
        return [[chain, text] as const, [affinitySet, `the clients that stay with ${text}`] as const]
      }),
    ])
  },
  spreadOver(chain, port, { cluster, local }) {
    const names = serviceChainNames(port)
    return chain === names.cluster ? cluster : chain === names.local ? local : []
  },
  endpointOf: (name, { port, endpoints }) =>
    isEndpointName(name)
      ? endpoints.find((endpoint) => {
          const { chain, affinitySet } = endpointNames(port, endpoint)
          return chain === name || affinitySet === name
        })
      : undefined,
  readingRank: (name) => (isServiceName(name) ? READING_ORDER.findIndex((prefix) => name.startsWith(prefix)) : -1),
}

/** A service port, and what follows for all that it has in the table. */
export interface PortPlan {
  readonly port: ServicePort
  readonly context: LayoutContext
  readonly names: ServiceChainNames
  readonly traffic: PortTraffic
  readonly protocol: string
  /** Endpoints of either traffic policy. */
  readonly endpoints: readonly Endpoint[]
  /** Source ranges guard the load balancer's addresses, with endpoints or without. */
  readonly isGuarded: boolean
}

export function planOf(port: ServicePort, endpoints: readonly Endpoint[], context: LayoutContext): PortPlan {
  const traffic = portTraffic({ port, endpoints, node: context.node })
  return {
    port,
    context,
    names: serviceChainNames(port),
    traffic,
    protocol: port.protocol.toLowerCase(),
    endpoints: reachableEndpoints(traffic.selection),
    isGuarded: port.loadBalancerVIPs.length > 0 && port.loadBalancerSourceRanges.length > 0,
  }
}

/** What a service port has in kube-proxy's table. */
export function serviceParts(plan: PortPlan): TableParts {
  const { port, names, traffic, endpoints, isGuarded } = plan
  const { cluster, local } = traffic.selection
  const sticky = port.affinitySeconds > 0
  return {
    sets: sticky ? endpoints.map((endpoint) => affinitySet(plan, endpoint)) : [],
    chains: [
      ...(sticky ? endpoints.map((endpoint) => endpointChain(plan, endpoint)) : []),
      ...(cluster.length > 0 ? [{ name: names.cluster, rules: spread(plan, cluster) }] : []),
      ...(local.length > 0 ? [{ name: names.local, rules: spread(plan, local) }] : []),
      ...(traffic.takesExternal ? [{ name: names.external, rules: externalRules(plan) }] : []),
      ...(isGuarded ? [{ name: names.firewall, rules: [dropOutside(plan)] }] : []),
    ],
    elements: [...hairpin(plan), ...internalFront(plan), ...externalFronts(plan)],
  }
}

const affinitySet = ({ port, context }: PortPlan, endpoint: Endpoint): SetDeclaration => ({
  kind: 'set',
  name: endpointNames(port, endpoint).affinitySet,
  key: [addressType(context.family)],
  timeoutSeconds: port.affinitySeconds,
})

/** Remembers the client, by its address alone and whichever front it used. */
function endpointChain({ port, context, protocol }: PortPlan, endpoint: Endpoint): Chain {
  const { chain, affinitySet: set } = endpointNames(port, endpoint)
  return {
    name: chain,
    rules: [rule([remember(context, set)]), rule([isProtocol(protocol), dnat(endpoint.address, endpoint.port)])],
  }
}

function spread({ port, context, protocol }: PortPlan, endpoints: readonly Endpoint[]): readonly Rule[] {
  if (port.affinitySeconds === 0) return [rule([isProtocol(protocol), spreadDnat(context, endpoints)])]
  const names = endpoints.map((endpoint) => endpointNames(port, endpoint))
  return [
    ...names.map(({ chain, affinitySet: set }) => rule([isIn(sourceAddress(context), set), goto(chain)])),
    rule([spreadGoto(names.map(({ chain }) => chain))]),
  ]
}

/** Policy Local keeps the source address, and uses endpoints on this node alone; pods and processes of this node are served by all. */
function externalRules({ port, context, names, traffic }: PortPlan): readonly Rule[] {
  const { local, masqueradeMark } = context
  const mark = setMark(masqueradeMark)
  const { external } = traffic
  const then = external === undefined ? [] : [rule([goto(external === 'Cluster' ? names.cluster : names.local)])]
  // The endpoint may be on another node, and its answer has to come back by this one.
  if (port.externalTrafficPolicy === 'Cluster') return [rule([mark], 'masquerade'), ...then]
  return [
    ...(local === undefined
      ? []
      : [rule([isLocal(local, context, '=='), goto(names.cluster)], 'short-circuit pod traffic')]),
    // The address that the node sends from may be the load balancer's, which is no address to answer to.
    rule([FROM_THIS_NODE, mark], 'masquerade local traffic'),
    rule([FROM_THIS_NODE, goto(names.cluster)], 'short-circuit local traffic'),
    ...then,
  ]
}

const dropOutside = ({ port, context }: PortPlan): Rule => {
  const sources = [...port.loadBalancerSourceRanges, ...vipsLetIn(port, context.nodeIp)]
  return rule([isWithin(sourceAddress(context), sources, '!='), DROP])
}

/** Endpoints on this node can send to a Service of theirs, and be chosen themselves. */
const hairpin = ({ endpoints, context, protocol }: PortPlan): readonly Element[] =>
  endpoints
    .filter((endpoint) => isLocalEndpoint(endpoint, context.node))
    .map(({ address, port }) => ({ set: SETS.hairpin, key: [address, address, protocol, port] }))

function internalFront(plan: PortPlan): readonly Element[] {
  const { port, names, traffic, protocol } = plan
  const key = [port.clusterIP, protocol, port.port]
  const { internal } = traffic
  return [
    { set: SETS.clusterIPs, key: [port.clusterIP] },
    internal === undefined
      ? refusal(plan, SETS.noEndpointServices, key)
      : { set: SETS.serviceIPs, key, verdict: goto(internal === 'Cluster' ? names.cluster : names.local) },
  ]
}

function externalFronts(plan: PortPlan): readonly Element[] {
  const { port, names, traffic, protocol, isGuarded } = plan
  const taken = goto(names.external)
  const addresses = [...new Set([...port.externalIPs, ...port.loadBalancerVIPs])]
  const keys = addresses.map((address) => [address, protocol, port.port])
  const nodePort = port.nodePort === 0 ? [] : [[protocol, port.nodePort]]
  const refused = traffic.external === undefined
  return [
    ...(isGuarded
      ? port.loadBalancerVIPs.map((address) => ({
          set: SETS.firewallIPs,
          key: [address, protocol, port.port],
          verdict: goto(names.firewall),
        }))
      : []),
    ...(traffic.takesExternal ? keys.map((key) => ({ set: SETS.serviceIPs, key, verdict: taken })) : []),
    // Pods and the node itself may have been served before: their packets have an endpoint's address by then.
    ...(refused ? keys.map((key) => refusal(plan, SETS.noEndpointServices, key)) : []),
    // Source ranges do not guard node ports: clusters rely on it.
    ...(traffic.takesExternal ? nodePort.map((key) => ({ set: SETS.serviceNodePorts, key, verdict: taken })) : []),
    ...(refused ? nodePort.map((key) => refusal(plan, SETS.noEndpointNodePorts, key)) : []),
  ]
}

const refusal = ({ port, traffic }: PortPlan, set: string, key: Element['key']): Element => ({
  set,
  key,
  verdict: traffic.refused === 'dropped' ? DROP : goto(CHAINS.reject),
  comment: displayName(port),
})

function fronts(port: ServicePort, endpoints: readonly Endpoint[], context: LayoutContext): readonly FrontPath[] {
  const { names, traffic } = planOf(port, endpoints, context)
  return frontTrafficOf(traffic, { tellsPods: context.local !== undefined }).map((each) => {
    const chain =
      each.front.type === 'clusterIP'
        ? traffic.internal && (traffic.internal === 'Cluster' ? names.cluster : names.local)
        : traffic.takesExternal
          ? names.external
          : undefined
    return chain === undefined ? each : { ...each, chain }
  })
}
