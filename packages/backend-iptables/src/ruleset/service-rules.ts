import {
  inOverlapOrder,
  reachableEndpoints,
  type Endpoint,
  type ProxyConfig,
  type ServicePort,
  type State,
  vipsLetIn,
} from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { countedBy, LOCALHOST_ACCEPTED, planBase } from './base-rules.js'
import { classicChains, classicEntries } from './classic-rules.js'
import { portPlan, rulesetContext, type PortPlan, type RulesetContext, type RulesetOptions } from './context.js'
import { endpointChain, spreadRules } from './endpoint-rules.js'
import { captureClusterIp, masqueradeClusterIp, refusals, rulesIn, toAddresses } from './front-rules.js'
import { CHAINS } from './layout.js'
import { ACCEPT, comment, DROP, from, fromLocal, jumpTo, protocolOf, to, toPort } from './matches.js'
import type { ChainRules, Ruleset, ServiceRules } from './ruleset.js'

/**
 * All rules of one service port. `endpoints` are those of the state, whatever their conditions. Nothing of other services is
 * asked, but for `context.endpointComments`, which the size of the cluster decides.
 */
export function planService(port: ServicePort, endpoints: readonly Endpoint[], context: RulesetContext): ServiceRules {
  const plan = portPlan(port, endpoints, context)
  const [own, entries] =
    context.layout.name === 'classic'
      ? [classicChains(plan), classicEntries(plan)]
      : [ownChains(plan), sharedEntries(plan)]
  return { owner: port.id, chains: own, entries: entries.filter(({ rules }) => rules.length > 0) }
}

/** A packet meets nat before filter: what nat sends to an endpoint no longer matches in filter, whatever stands there. */
const sharedEntries = (plan: PortPlan): readonly ChainRules[] => [
  ...refusals(plan),
  rulesIn('filter', CHAINS.nodePorts, acceptHealthChecks(plan)),
  rulesIn('filter', CHAINS.proxyFirewall, dropOutsideRanges(plan)),
  rulesIn('nat', CHAINS.services, [
    ...captureClusterIp(plan),
    ...captureExternalIps(plan),
    ...captureLoadBalancer(plan),
  ]),
  rulesIn('nat', CHAINS.nodePorts, captureNodePort(plan)),
]

function ownChains(plan: PortPlan): readonly ChainRules[] {
  const { chains, selection, usesExternal, usesFirewall } = plan
  return [
    ...(usesExternal ? [rulesIn('nat', chains.external, externalChainRules(plan))] : []),
    ...(usesFirewall ? [rulesIn('nat', chains.firewall, firewallChainRules(plan))] : []),
    ...spreadingChain(plan, chains.cluster, selection.cluster),
    ...spreadingChain(plan, chains.local, selection.local),
    ...reachableEndpoints(selection).map((endpoint) => endpointChain(plan, endpoint)),
  ]
}

function spreadingChain(plan: PortPlan, chain: string, endpoints: readonly Endpoint[]): readonly ChainRules[] {
  if (endpoints.length === 0) return []
  const head = chain === plan.internalChain ? masqueradeClusterIp(plan) : []
  return [rulesIn('nat', chain, [...head, ...spreadRules(plan, endpoints)])]
}

/** KUBE-SERVICES in nat: what is sent to an external IP goes to KUBE-EXT-. */
const captureExternalIps = (plan: PortPlan): readonly Rule[] =>
  plan.usesExternal
    ? toAddresses(plan, plan.port.externalIPs, {
        because: `${plan.name} external IP`,
        target: jumpTo(plan.chains.external),
      })
    : []

/** KUBE-SERVICES in nat: what is sent to a load balancer's address goes to KUBE-EXT-, by KUBE-FW- where ranges guard it. */
const captureLoadBalancer = (plan: PortPlan): readonly Rule[] =>
  plan.usesExternal
    ? toAddresses(plan, plan.port.loadBalancerVIPs, {
        because: `${plan.name} loadbalancer IP`,
        target: jumpTo(plan.usesFirewall ? plan.chains.firewall : plan.chains.external),
      })
    : []

/**
 * KUBE-PROXY-FIREWALL: what KUBE-FW- did not let on still has the load balancer's address, and is dropped by it: the nat
 * table cannot drop.
 */
const dropOutsideRanges = (plan: PortPlan): readonly Rule[] =>
  plan.usesFirewall
    ? toAddresses(plan, plan.port.loadBalancerVIPs, {
        because: `${plan.name} traffic not accepted by ${plan.chains.firewall}`,
        target: DROP,
      })
    : []

/** KUBE-EXT-: what came by an external address or a node port. */
function externalChainRules(plan: PortPlan): readonly Rule[] {
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

/** KUBE-FW-: lets sources within the ranges on to KUBE-EXT-. The rest stays as it is, for KUBE-PROXY-FIREWALL to drop. */
function firewallChainRules({ port, name, chains, context }: PortPlan): readonly Rule[] {
  const { loadBalancerSourceRanges: ranges } = port
  const letIn = (source: string): Rule => ({
    ...from(source),
    matches: [comment(`${name} loadbalancer IP`)],
    target: jumpTo(chains.external),
  })
  return [
    ...ranges.map(letIn),
    ...vipsLetIn(port, context.nodeIp).map(letIn),
    // Does nothing: it tells readers where the story goes on.
    { matches: [comment(`other traffic to ${name} will be dropped by KUBE-PROXY-FIREWALL`)] },
  ]
}

/**
 * KUBE-NODEPORTS in nat: the node port leads to KUBE-EXT-, whatever the address: which addresses count was asked on the way
 * here. Source ranges are not: clusters rely on it.
 */
function captureNodePort({ port, name, chains, context, usesExternal }: PortPlan): readonly Rule[] {
  if (!usesExternal || port.nodePort === 0) return []
  const matched: Rule = {
    ...protocolOf(port.protocol),
    matches: [comment(name), toPort(port.protocol, port.nodePort)],
    target: jumpTo(chains.external),
  }
  // Tells by a counter whether anybody uses node ports on localhost, which are to go away some day.
  const counted: Rule = {
    ...to('127.0.0.0/8'),
    ...matched,
    matches: [...matched.matches, countedBy(LOCALHOST_ACCEPTED)],
  }
  return context.nfacct && context.localhostNodePorts ? [counted, matched] : [matched]
}

/**
 * KUBE-NODEPORTS in filter: load balancers ask this port which nodes have endpoints, and the answer "none here" counts as
 * well: let in whatever the policy of INPUT is, and with or without endpoints.
 */
const acceptHealthChecks = ({ port, name }: PortPlan): readonly Rule[] =>
  port.healthCheckNodePort === 0
    ? []
    : [
        {
          ...protocolOf('TCP'),
          matches: [comment(`${name} health check node port`), toPort('TCP', port.healthCheckNodePort)],
          target: ACCEPT,
        },
      ]

/** All rules of one family for a state, in the layout of the configuration. The same state gives the same rules, in the same order. */
export function planRuleset(
  state: Pick<State, 'node' | 'services' | 'endpoints'>,
  config: ProxyConfig,
  options: RulesetOptions,
): Ruleset {
  const context = rulesetContext(state, config, options)
  const ports = [...state.services.values()].filter(({ family }) => family === options.family)
  return {
    family: options.family,
    base: planBase(context),
    services: inOverlapOrder(ports).map((port) => planService(port, state.endpoints.get(port.id) ?? [], context)),
  }
}
