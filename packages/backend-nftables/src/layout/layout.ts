import {
  localSourceOf,
  nodeIpOf,
  nodePortAddressesOf,
  type Endpoint,
  type EndpointSelection,
  type FrontPath,
  type IpFamily,
  type LocalSource,
  type NodeInfo,
  type PlanOptions,
  type PortEndpoints,
  type ProxyConfig,
  type RulesAt,
  type ServicePort,
} from '@pointsman/core'
import type { TableName, TableParts } from '../table/table.js'

/** All that the rules of one service port are made from, besides itself and its endpoints: plain data. */
export interface LayoutContext {
  readonly family: IpFamily
  /** `ip` or `ip6`: the family of the table, and the header that has the addresses. */
  readonly ip: 'ip' | 'ip6'
  readonly node: NodeInfo | undefined
  readonly nodeIp: string
  /** Undefined: it is not configured, or not for this family. */
  readonly local: LocalSource | undefined
  readonly masqueradeAll: boolean
  /** The bit of a packet's mark that asks for masquerading. */
  readonly masqueradeMark: number
  readonly nodePortAddresses: 'all' | readonly string[]
  /** The networks of the family that cluster IPs are taken from, by the ServiceCIDRs. */
  readonly serviceCidrs: readonly string[]
  readonly randomFully: boolean
}

export function layoutContext({ state, config }: RulesAt, options: PlanOptions): LayoutContext {
  const { family, interfaceAddresses, randomFully = true } = options
  const { node } = state
  return {
    family,
    ip: family === 'IPv4' ? 'ip' : 'ip6',
    node,
    nodeIp: nodeIpOf(node, family, config),
    local: localSourceOf(config.detectLocal, { node, family }),
    masqueradeAll: config.masqueradeAll,
    masqueradeMark: 2 ** config.masqueradeBit,
    nodePortAddresses: nodePortAddressesOf(config, family, { node, interfaceAddresses }),
    serviceCidrs: state.serviceCidrs.filter((cidr) => cidr.includes(':') === (family === 'IPv6')),
    randomFully,
  }
}

/** The shape of a table: which chains, sets and maps there are, and what stands in them. All else works the same for each. */
export interface Layout {
  readonly name: ProxyConfig['layout']
  readonly table: (family: IpFamily) => TableName
  readonly tableComment: string
  /** What is there whatever Services there are. */
  readonly base: (context: LayoutContext) => TableParts
  /** What one service port has. `endpoints` are those of the state, whatever their conditions. */
  readonly service: (port: ServicePort, endpoints: readonly Endpoint[], context: LayoutContext) => TableParts
  /**
   * In which of three transactions an element is removed that nothing takes the place of: with all that is added (0), or one (1) or
   * two (2) later. Absent: always 0.
   */
  readonly removalStage?: (set: string) => 0 | 1 | 2
  /** In the order of `frontsOf`. */
  readonly fronts: (port: ServicePort, endpoints: readonly Endpoint[], context: LayoutContext) => readonly FrontPath[]
  /** Whether a chain or set is of one service port. */
  readonly isServiceChain: (name: string) => boolean
  /** Whether a chain or set of its table is the proxy's, of older releases too. */
  readonly isOwn: (name: string) => boolean
  /** Whether a chain or set is of this service port. */
  readonly isOfService: (name: string, port: ServicePort) => boolean
  /** The chains and sets that a service port may have, with a few words for people about each. */
  readonly meanings: (service: PortEndpoints) => ReadonlyMap<string, string>
  /** The endpoints that a chain of a service port spreads over. */
  readonly spreadOver: (chain: string, port: ServicePort, selection: EndpointSelection) => readonly Endpoint[]
  /** The endpoint whose chain or set it is. */
  readonly endpointOf: (name: string, service: PortEndpoints) => Endpoint | undefined
  /** A chain's place in the order in which a packet meets them. */
  readonly readingRank: (name: string) => number
}
