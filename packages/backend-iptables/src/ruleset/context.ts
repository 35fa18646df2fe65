import {
  answersOnLocalhost,
  assertNever,
  type DetectLocal,
  type IpFamily,
  type NodeInfo,
  nodeIpOf,
  nodePortAddressesOf,
  parseCidr,
  type ProxyConfig,
  type State,
} from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { DROP_MARKS, type Layout, layoutOf } from './layout.js'
import { from, notFrom } from './matches.js'

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
    dropInvalid: isClassic || !(options.tcpBeLiberal ?? config.tcpBeLiberal),
    randomFully,
    nfacct: nfacct && !isClassic,
    endpointComments: keepComments || !isLargeCluster(state, { family, layout }),
  }
}

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

/**
 * How local traffic is recognized in one family. Undefined: it cannot be recognized, and then no rule asks: nothing is masqueraded for
 * coming from elsewhere, and no pod is let past the external traffic policy. The modes are kube-proxy's detectLocalMode.
 */
function localTrafficOf(
  detectLocal: DetectLocal,
  { node, family }: { readonly node: NodeInfo | undefined; readonly family: IpFamily },
): LocalTraffic | undefined {
  switch (detectLocal.mode) {
    case 'None':
      return undefined
    case 'ClusterCIDR':
      return byCidr(detectLocal.cidrs, family)
    case 'NodeCIDR':
      return byCidr(node?.podCIDRs ?? [], family)
    case 'BridgeInterface':
      return byInterface(detectLocal.bridge)
    case 'InterfaceNamePrefix':
      // To iptables a name that ends in a plus stands for all that begin so.
      return byInterface(`${detectLocal.prefix}+`)
    default:
      return assertNever(detectLocal)
  }
}

/**
 * kube-proxy uses the first of each family. Where that holds every address, it asks for packets from none: iptables on
 * nf_tables refuses such a rule, and the whole restore with it. Here no rule asks.
 */
function byCidr(texts: readonly string[], family: IpFamily): LocalTraffic | undefined {
  const cidr = texts.map(parseCidr).find((parsed) => parsed?.family === family)
  if (cidr === undefined) return undefined
  return { ifLocal: from(cidr.text), ifNotLocal: cidr.prefix === 0 ? undefined : notFrom(cidr.text) }
}

const byInterface = (name: string): LocalTraffic => ({
  ifLocal: { inInterface: { name, negated: false } },
  ifNotLocal: { inInterface: { name, negated: true } },
})
