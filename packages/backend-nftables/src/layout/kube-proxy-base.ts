import { isLoopback, type IpFamily } from '@pointsman/core'
import type { Chain, Rule, SetDeclaration, Statement, TableParts } from '../table/table.js'
import type { LayoutContext } from './layout.js'
import {
  addressPortKey,
  clearMark,
  connectionKey,
  destinationAddress,
  DROP,
  IS_NEW,
  IS_TRANSLATED,
  isIn,
  isLocal,
  isMarked,
  isWithin,
  jump,
  masquerade,
  PORT_KEY,
  REJECT,
  setMark,
  TO_THIS_NODE,
  vmap,
} from './statements.js'

/*
 * What the table of kube-proxy 1.36 has whatever Services there are: its sets and maps, its base chains, and the chains in which a
 * packet is looked up in them.
 */

export const SETS = {
  hairpin: 'hairpin-connections',
  clusterIPs: 'cluster-ips',
  nodePortIPs: 'nodeport-ips',
  noEndpointServices: 'no-endpoint-services',
  noEndpointNodePorts: 'no-endpoint-nodeports',
  firewallIPs: 'firewall-ips',
  serviceIPs: 'service-ips',
  serviceNodePorts: 'service-nodeports',
} as const

export const CHAINS = {
  nodePortEndpointsCheck: 'nodeport-endpoints-check',
  serviceEndpointsCheck: 'service-endpoints-check',
  firewallCheck: 'firewall-check',
  services: 'services',
  masquerading: 'masquerading',
  clusterIPsCheck: 'cluster-ips-check',
  reject: 'reject-chain',
} as const

export const rule = (statements: readonly Statement[], comment?: string): Rule =>
  comment === undefined ? { statements } : { statements, comment }

export function planBase(context: LayoutContext): TableParts {
  return {
    sets: baseSets(context),
    chains: [...baseChains(), ...checks(context), ...dispatch(context)],
    elements:
      context.nodePortAddresses === 'all'
        ? []
        : // Node ports on loopback do not work in this mode: nothing routes the answers.
          context.nodePortAddresses
            .filter((address) => !isLoopback(address))
            .map((address) => ({ set: SETS.nodePortIPs, key: [address] })),
  }
}

function baseSets({ family, nodePortAddresses }: LayoutContext): readonly SetDeclaration[] {
  const address = addressType(family)
  const portKey = ['inet_proto', 'inet_service']
  const set = (name: string, key: readonly string[], comment: string): SetDeclaration => ({
    kind: 'set',
    name,
    key,
    comment,
  })
  const map = (name: string, key: readonly string[], comment: string): SetDeclaration => ({
    kind: 'map',
    name,
    key,
    comment,
  })
  return [
    set(SETS.hairpin, [address, address, ...portKey], 'service hairpin connections'),
    set(SETS.clusterIPs, [address], 'Active ClusterIPs'),
    ...(nodePortAddresses === 'all' ? [] : [set(SETS.nodePortIPs, [address], 'IPs that accept NodePort traffic')]),
    map(SETS.noEndpointServices, [address, ...portKey], 'vmap to drop or reject packets to services with no endpoints'),
    map(SETS.noEndpointNodePorts, portKey, 'vmap to drop or reject packets to service nodeports with no endpoints'),
    map(SETS.firewallIPs, [address, ...portKey], 'destinations that are subject to LoadBalancerSourceRanges'),
    map(SETS.serviceIPs, [address, ...portKey], 'ClusterIP, ExternalIP and LoadBalancer IP traffic'),
    map(SETS.serviceNodePorts, portKey, 'NodePort traffic'),
  ]
}

export const addressType = (family: IpFamily): string => (family === 'IPv4' ? 'ipv4_addr' : 'ipv6_addr')

/** nft's priorities of destination and source NAT. */
const DSTNAT = -100
const SRCNAT = 100
const FILTER = 0

function baseChains(): readonly Chain[] {
  const ifNew = (target: string): Rule => rule([IS_NEW, jump(target)])
  const always = (target: string): Rule => rule([jump(target)])
  const chain = (name: string, hook: NonNullable<Chain['hook']>, rules: readonly Rule[]): Chain => ({
    name,
    hook,
    rules,
  })
  return [
    // Source ranges are asked for while the packet still has the load balancer's address.
    chain('filter-prerouting-pre-dnat', { type: 'filter', hook: 'prerouting', priority: DSTNAT - 10 }, [
      ifNew(CHAINS.firewallCheck),
    ]),
    chain('filter-output-pre-dnat', { type: 'filter', hook: 'output', priority: DSTNAT - 10 }, [
      ifNew(CHAINS.firewallCheck),
    ]),
    // What is translated by now has an endpoint's address, and matches none of the checks. Older kernels reject in these hooks alone.
    chain('filter-input', { type: 'filter', hook: 'input', priority: FILTER }, [
      ifNew(CHAINS.nodePortEndpointsCheck),
      ifNew(CHAINS.serviceEndpointsCheck),
    ]),
    chain('filter-forward', { type: 'filter', hook: 'forward', priority: FILTER }, [
      ifNew(CHAINS.serviceEndpointsCheck),
      ifNew(CHAINS.clusterIPsCheck),
    ]),
    chain('filter-output', { type: 'filter', hook: 'output', priority: FILTER }, [
      ifNew(CHAINS.serviceEndpointsCheck),
      ifNew(CHAINS.clusterIPsCheck),
    ]),
    chain('nat-prerouting', { type: 'nat', hook: 'prerouting', priority: DSTNAT }, [always(CHAINS.services)]),
    chain('nat-output', { type: 'nat', hook: 'output', priority: DSTNAT }, [always(CHAINS.services)]),
    chain('nat-postrouting', { type: 'nat', hook: 'postrouting', priority: SRCNAT }, [always(CHAINS.masquerading)]),
  ]
}

/** What drops and rejects: services without endpoints, sources outside of ranges, addresses that serve nothing. */
function checks(context: LayoutContext): readonly Chain[] {
  const toNodePort = nodePortMatches(context)
  return [
    {
      name: CHAINS.nodePortEndpointsCheck,
      // In hook input every destination is the node's own.
      rules: [rule([...toNodePort.filter((each) => each !== TO_THIS_NODE), vmap(PORT_KEY, SETS.noEndpointNodePorts)])],
    },
    { name: CHAINS.serviceEndpointsCheck, rules: [rule([vmap(addressPortKey(context), SETS.noEndpointServices)])] },
    { name: CHAINS.firewallCheck, rules: [rule([vmap(addressPortKey(context), SETS.firewallIPs)])] },
  ]
}

function dispatch(context: LayoutContext): readonly Chain[] {
  const { masqueradeMark, serviceCidrs } = context
  const toClusterIP = isIn(destinationAddress(context), SETS.clusterIPs)
  return [
    {
      name: CHAINS.services,
      rules: [
        ...masqueradeClusterIPs(context),
        rule([vmap(addressPortKey(context), SETS.serviceIPs)]),
        rule([...nodePortMatches(context), vmap(PORT_KEY, SETS.serviceNodePorts)]),
      ],
    },
    {
      name: CHAINS.masquerading,
      rules: [
        rule([isMarked(masqueradeMark), clearMark(masqueradeMark), masquerade(context)]),
        // A pod that reached itself by a Service would answer itself directly, with an address that it did not ask.
        rule([IS_TRANSLATED, isIn(connectionKey(context), SETS.hairpin), masquerade(context)]),
      ],
    },
    {
      name: CHAINS.clusterIPsCheck,
      rules: [
        rule([toClusterIP, REJECT], 'Reject traffic to invalid ports of ClusterIPs'),
        ...(serviceCidrs.length === 0
          ? []
          : [
              rule(
                [isWithin(destinationAddress(context), serviceCidrs), DROP],
                'Drop traffic to unallocated ClusterIPs',
              ),
            ]),
      ],
    },
    {
      name: CHAINS.reject,
      comment: 'helper for @no-endpoint-services / @no-endpoint-nodeports',
      rules: [rule([REJECT])],
    },
  ]
}

/**
 * Traffic to cluster IPs that no pod of this node sends is masqueraded. It may come from outside of the cluster by a route to
 * the service range, and its answers have to come back this way.
 */
function masqueradeClusterIPs(context: LayoutContext): readonly Rule[] {
  const { local, masqueradeAll, masqueradeMark } = context
  const toClusterIP = isIn(destinationAddress(context), SETS.clusterIPs)
  const mark = setMark(masqueradeMark)
  if (masqueradeAll) return [rule([toClusterIP, mark], 'masquerade all clusterIP traffic')]
  if (local === undefined) return []
  return [rule([toClusterIP, isLocal(local, context, '!='), mark], 'masquerade clusterIP traffic from outside cluster')]
}

/** What is sent to an address on which node ports answer, loopback never. */
export const nodePortMatches = (context: LayoutContext): readonly Statement[] =>
  context.nodePortAddresses === 'all'
    ? [TO_THIS_NODE, isWithin(destinationAddress(context), [context.family === 'IPv4' ? '127.0.0.0/8' : '::1'], '!=')]
    : [isIn(destinationAddress(context), SETS.nodePortIPs)]

/** Names that kube-proxies had before 1.36, and have no more: 1.29 to 1.35. */
const FORMER_NAMES: readonly string[] = [
  'filter-prerouting',
  'filter-output-post-dnat',
  'endpoints-check',
  'mark-for-masquerade',
]

const BASE_NAMES: ReadonlySet<string> = new Set([
  ...Object.values(SETS),
  ...Object.values(CHAINS),
  ...baseChains().map(({ name }) => name),
  ...FORMER_NAMES,
])

/** Whether a chain or set is there whatever Services there are. */
export const isBaseName = (name: string): boolean => BASE_NAMES.has(name)
