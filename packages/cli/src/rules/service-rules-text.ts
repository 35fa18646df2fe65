import {
  endpointChainName,
  frontWays,
  type RulesetContext,
  serviceChainNames,
  type ServiceRules,
} from '@pointsman/backend-iptables'
import type { Endpoint, ServicePort } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { chainText, type ChainView } from './chain-text.js'
import { endpointText, frontLines } from './front-text.js'

export interface PortRules {
  readonly port: ServicePort
  /** Whatever their conditions. */
  readonly endpoints: readonly Endpoint[]
  readonly plan: ServiceRules
  readonly context: RulesetContext
}

/** One service port: where its fronts lead, then its rules, chain by chain in the order in which a packet meets them. */
export function portRulesText({ port, endpoints, plan, context }: PortRules, style: Style): readonly string[] {
  const chains = chainViews({ port, endpoints, plan, context }).flatMap((view) => ['', ...chainText(view, style)])
  return [...frontLines(port, frontWays(port, endpoints, context), style), ...chains]
}

/** The rules of a service port by chain: the shared chains of nat, its own, and then those of filter. */
export function chainViews({ port, endpoints, plan }: PortRules): readonly ChainView[] {
  const meanings = chainMeanings(port, endpoints)
  const parts = [
    ...plan.entries.filter(({ table }) => table === 'nat'),
    ...plan.chains,
    ...plan.entries.filter(({ table }) => table !== 'nat'),
  ]
  return parts.map(({ table, chain, rules }) => ({
    table,
    chain,
    meaning: meanings.get(chain) ?? 'shared by all services',
    rules: rules.map((rule) => ({ chain, rule })),
  }))
}

/** What each chain of a service port's own is for. */
export function chainMeanings(port: ServicePort, endpoints: readonly Endpoint[]): ReadonlyMap<string, string> {
  const { cluster, local, external, firewall } = serviceChainNames(port)
  return new Map([
    [cluster, 'spreads over its endpoints'],
    [local, 'spreads over its endpoints on this node'],
    [external, 'takes what comes by an external address or a node port'],
    [firewall, 'lets the source ranges of the load balancer on'],
    ...endpoints.map((endpoint) => [endpointChainName(port, endpoint), endpointText(endpoint)] as const),
  ])
}
