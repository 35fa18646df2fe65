import { vipsLetIn } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { endpointChain, spreadRules } from './endpoint-rules.js'
import { captureClusterIp, masqueradeClusterIp, refusals, rulesIn, toAddresses } from './front-rules.js'
import { CHAINS } from './layout.js'
import { comment, from, fromLocal, jumpTo, protocolOf, toLocal, toPort } from './matches.js'
import type { PortPlan } from './context.js'
import type { ChainRules } from './ruleset.js'

/*
 * The rules of a service port in layout `classic`, those of kube-proxy 1.20. Masquerading stands beside the jump to KUBE-SVC-, external
 * traffic of policy Cluster goes there directly, and of policy Local to KUBE-XLB-. The nat table drops by KUBE-MARK-DROP.
 */

/** Its rules in the chains that all service ports share. */
export const classicEntries = (plan: PortPlan): readonly ChainRules[] =>
  plan.selection.hasEndpoints
    ? [
        rulesIn('nat', CHAINS.services, [
          ...masqueradeClusterIp(plan),
          ...captureClusterIp(plan),
          ...plan.port.externalIPs.flatMap((address) => captureExternalIp(plan, address)),
          ...captureLoadBalancer(plan),
        ]),
        rulesIn('nat', CHAINS.nodePorts, captureNodePort(plan)),
      ]
    : refusals(plan)

/** Its own chains. */
export function classicChains(plan: PortPlan): readonly ChainRules[] {
  const { chains, selection, usesFirewall } = plan
  const { cluster, hasEndpoints } = selection
  return [
    // kube-proxy makes it without endpoints too, empty.
    ...(isLocal(plan) ? [rulesIn('nat', chains.external, hasEndpoints ? localChainRules(plan) : [])] : []),
    ...(usesFirewall ? [rulesIn('nat', chains.firewall, firewallChainRules(plan))] : []),
    ...(hasEndpoints ? [rulesIn('nat', chains.cluster, spreadRules(plan, cluster))] : []),
    ...cluster.map((endpoint) => endpointChain(plan, endpoint)),
  ]
}

const isLocal = ({ port }: PortPlan): boolean => port.externalTrafficPolicy === 'Local'

/** Where external traffic is spread. */
const spreadingChain = (plan: PortPlan): string => (isLocal(plan) ? plan.chains.external : plan.chains.cluster)

/**
 * KUBE-SERVICES in nat: an external IP is served to other machines, and to pods and processes of this node only where it is the
 * node's own: they would otherwise reach by it what the network has there. A packet that did not come over a bridge, and not from this
 * node, is taken to be another machine's.
 */
function captureExternalIp(plan: PortPlan, address: string): readonly Rule[] {
  const because = `${plan.name} external IP`
  const target = jumpTo(spreadingChain(plan))
  const [matched] = toAddresses(plan, [address], { because, target })
  if (matched === undefined) return []
  return [
    ...(isLocal(plan) ? [] : [{ ...matched, target: jumpTo(CHAINS.markMasq) }]),
    {
      ...matched,
      matches: [
        ...matched.matches,
        { type: 'physdev', isIn: { negated: true } },
        { type: 'addrtype', source: { types: ['LOCAL'], negated: true } },
      ],
    },
    { ...matched, matches: [...matched.matches, toLocal] },
  ]
}

/** KUBE-SERVICES in nat: the load balancer's addresses lead to KUBE-FW-, with source ranges or without. */
const captureLoadBalancer = ({ port, name, chains }: PortPlan): readonly Rule[] =>
  toAddresses({ port }, port.loadBalancerVIPs, { because: `${name} loadbalancer IP`, target: jumpTo(chains.firewall) })

/**
 * KUBE-FW-: lets sources within the ranges, or all, on; the rest is marked to be dropped. kube-proxy 1.20 writes all rules once an
 * address of the load balancer, so that those behind the first mark come too late.
 */
function firewallChainRules(plan: PortPlan): readonly Rule[] {
  const { port, name } = plan
  const { loadBalancerSourceRanges: ranges } = port
  const matches = [comment(`${name} loadbalancer IP`)]
  const letIn = (source: string): Rule => ({ ...from(source), matches, target: jumpTo(spreadingChain(plan)) })
  return port.loadBalancerVIPs.flatMap((address): readonly Rule[] => [
    ...(isLocal(plan) ? [] : [{ matches, target: jumpTo(CHAINS.markMasq) }]),
    ...(ranges.length === 0
      ? [{ matches, target: jumpTo(spreadingChain(plan)) }]
      : [...ranges, ...vipsLetIn({ ...port, loadBalancerVIPs: [address] }, plan.context.nodeIp)].map(letIn)),
    { matches, target: jumpTo(CHAINS.markDrop) },
  ])
}

/** KUBE-NODEPORTS: with policy Local, a process of this node that sends from loopback cannot be answered there by another machine. */
function captureNodePort(plan: PortPlan): readonly Rule[] {
  const { port, name, context } = plan
  if (port.nodePort === 0) return []
  const matched: Rule = {
    ...protocolOf(port.protocol),
    matches: [comment(name), toPort(port.protocol, port.nodePort)],
  }
  const loopback = from(context.family === 'IPv4' ? '127.0.0.0/8' : '::1/128')
  return [
    { ...(isLocal(plan) ? loopback : {}), ...matched, target: jumpTo(CHAINS.markMasq) },
    { ...matched, target: jumpTo(spreadingChain(plan)) },
  ]
}

/**
 * KUBE-XLB-: policy Local keeps the source address, and uses endpoints on this node alone. Pods and processes of this node are served by
 * all endpoints.
 */
function localChainRules(plan: PortPlan): readonly Rule[] {
  const { name, chains, context, selection } = plan
  const toAnyEndpoint = jumpTo(chains.cluster)
  const { ifLocal } = context.localTraffic ?? {}
  return [
    ...(ifLocal === undefined
      ? []
      : [
          {
            ...ifLocal,
            matches: [comment('Redirect pods trying to reach external loadbalancer VIP to clusterIP')],
            target: toAnyEndpoint,
          },
        ]),
    {
      matches: [comment(`masquerade LOCAL traffic for ${name} LB IP`), fromLocal],
      target: jumpTo(CHAINS.markMasq),
    },
    { matches: [comment(`route LOCAL traffic for ${name} LB IP to service chain`), fromLocal], target: toAnyEndpoint },
    ...(selection.local.length === 0
      ? [{ matches: [comment(`${name} has no local endpoints`)], target: jumpTo(CHAINS.markDrop) }]
      : spreadRules(plan, selection.local, {
          remembered: () => name,
          balanced: (_, index) => `Balancing rule ${index} for ${name}`,
        })),
  ]
}
