import { endpointKey, type Endpoint, type ServicePort } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import { captureClusterIp, masqueradeClusterIp, refuseClusterIp } from './cluster-ip-rules.js'
import type { RulesetContext } from './context.js'
import { endpointChain } from './endpoint-chain.js'
import {
  captureExternalIps,
  captureLoadBalancer,
  dropOutsideRanges,
  refuseExternalAddresses,
} from './external-address-rules.js'
import { externalChainRules } from './external-chain.js'
import { firewallChainRules } from './firewall-chain.js'
import { acceptHealthChecks, captureNodePort, refuseNodePort } from './node-port-rules.js'
import { portPlan, type PortPlan } from './port-plan.js'
import type { ChainRules, ServiceRules, Table } from './ruleset.js'
import { spreadRules } from './spread-rules.js'

/**
 * All rules of one service port. `endpoints` are those of the state, whatever their conditions. Nothing of other services is
 * asked, but for `context.endpointComments`, which the size of the cluster decides.
 */
export function planService(port: ServicePort, endpoints: readonly Endpoint[], context: RulesetContext): ServiceRules {
  const plan = portPlan(port, endpoints, context)
  return { owner: port.id, chains: ownChains(plan), entries: sharedEntries(plan) }
}

/** A packet meets nat before filter: what nat sends to an endpoint no longer matches in filter, whatever stands there. */
const sharedEntries = (plan: PortPlan): readonly ChainRules[] =>
  [
    rulesIn('filter', CHAINS.services, refuseClusterIp(plan)),
    rulesIn('filter', CHAINS.externalServices, [...refuseExternalAddresses(plan), ...refuseNodePort(plan)]),
    rulesIn('filter', CHAINS.nodePorts, acceptHealthChecks(plan)),
    rulesIn('filter', CHAINS.proxyFirewall, dropOutsideRanges(plan)),
    rulesIn('nat', CHAINS.services, [
      ...captureClusterIp(plan),
      ...captureExternalIps(plan),
      ...captureLoadBalancer(plan),
    ]),
    rulesIn('nat', CHAINS.nodePorts, captureNodePort(plan)),
  ].filter(({ rules }) => rules.length > 0)

function ownChains(plan: PortPlan): readonly ChainRules[] {
  const { chains, selection, usesExternal, usesFirewall } = plan
  return [
    ...(usesExternal ? [rulesIn('nat', chains.external, externalChainRules(plan))] : []),
    ...(usesFirewall ? [rulesIn('nat', chains.firewall, firewallChainRules(plan))] : []),
    ...spreadingChain(plan, chains.cluster, selection.cluster),
    ...spreadingChain(plan, chains.local, selection.local),
    ...reachable(plan).map((endpoint) => endpointChain(plan, endpoint)),
  ]
}

function spreadingChain(plan: PortPlan, chain: string, endpoints: readonly Endpoint[]): readonly ChainRules[] {
  if (endpoints.length === 0) return []
  const head = chain === plan.internalChain ? masqueradeClusterIp(plan) : []
  return [rulesIn('nat', chain, [...head, ...spreadRules(plan, endpoints)])]
}

/** Endpoints of either policy, each once: one that terminates may serve the one policy and not the other. */
function reachable({ selection: { cluster, local } }: PortPlan): readonly Endpoint[] {
  const keys = new Set(cluster.map(endpointKey))
  return [...cluster, ...local.filter((endpoint) => !keys.has(endpointKey(endpoint)))]
}

const rulesIn = (table: Table, chain: string, rules: readonly Rule[]): ChainRules => ({ table, chain, rules })
