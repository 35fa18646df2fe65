import { DEFAULT_PROXY_CONFIG, endpointKey, displayName, type ProxyConfig, type State } from '@pointsman/core'
import { nodeInfoWith, stateOf, type PortDescription, type StateDescription } from '@pointsman/core/testing'
import { renderSave } from '../render/owned-rules.js'
import { endpointChainName, everyServiceChainName } from '../ruleset/layout.js'
import type { RulesetOptions } from '../ruleset/context.js'
import { planRuleset } from '../ruleset/service-rules.js'

/** The cluster of the scenarios: pods in 10.244.0.0/16 and fd00:10:244::/48, told by that; the node is node-a. */
export const CLUSTER_CIDR: ProxyConfig = {
  ...DEFAULT_PROXY_CONFIG,
  detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
}

export interface Scenario {
  readonly ports?: readonly PortDescription[]
  readonly node?: StateDescription['node'] | 'unknown'
  readonly config?: Partial<ProxyConfig>
  readonly options?: Partial<RulesetOptions>
}

/**
 * The rules of a scenario as `TABLE CHAIN RULE`, of the chains that are asked for (all of the services' own and shared
 * ones by default). Chains with a hash are called by what it stands for: `KUBE-SVC-(shop/cart)`,
 * `KUBE-SEP-(shop/cart 10.244.1.5:8080)`.
 */
export function rulesOf(scenario: Scenario, wanted: RegExp = SERVICE_RULES): readonly string[] {
  const names = readableNames(stateOfScenario(scenario))
  const found: string[] = []
  let table = ''
  for (const line of textOf(scenario).split('\n')) {
    if (line.startsWith('*')) table = line.slice(1)
    if (line.startsWith('-A ')) found.push(named(names, `${table} ${line.slice(3)}`))
  }
  return found.filter((rule) => wanted.test(rule))
}

/** All rules as one text. */
export function textOf(scenario: Scenario): string {
  const { config = {}, options = {} } = scenario
  const family = options.family ?? 'IPv4'
  const ruleset = planRuleset(stateOfScenario(scenario), { ...CLUSTER_CIDR, ...config }, { ...options, family })
  return [...renderSave(ruleset)].map((line) => `${line}\n`).join('')
}

export const stateOfScenario = ({ ports = [], node = {} }: Scenario): State =>
  stateOf({ ports, ...(node !== 'unknown' && { node: nodeInfoWith(node) }) })

/** Not those that are there without services. */
const SERVICE_RULES = /^(?:nat|filter) KUBE-(?!FORWARD|FIREWALL|POSTROUTING|MARK-MASQ)/

function named(names: ReadonlyMap<string, string>, text: string): string {
  return text.replaceAll(/KUBE-(?:SVC|SVL|EXT|XLB|FW|SEP)-[A-Z2-7]{16}/g, (chain) => names.get(chain) ?? chain)
}

function readableNames({ services, endpoints }: State): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const port of services.values()) {
    for (const chain of everyServiceChainName(port)) {
      names.set(chain, chain.replace(/[^-]+$/, `(${displayName(port)})`))
    }
    for (const endpoint of endpoints.get(port.id) ?? []) {
      names.set(endpointChainName(port, endpoint), `KUBE-SEP-(${displayName(port)} ${endpointKey(endpoint)})`)
    }
  }
  return names
}
