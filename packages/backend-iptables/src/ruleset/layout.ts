import { chainHash, displayName, endpointKey, type Endpoint, type ProxyConfig, type ServicePort } from '@pointsman/core'
import type { Match } from 'node-iptables'
import { comment, isNew, jumpTo } from './matches.js'
import type { BaseChain, JumpRule, Table } from './ruleset.js'

/**
 * The shape of kube-proxy's rules: which chains there are, what leads to them, and in which orders they are read and deleted.
 * What a layout says stands here alone; what the rules in its chains are, `base-rules.ts` and `service-rules.ts` say.
 */
export interface Layout {
  readonly name: ProxyConfig['layout']
  /** The chains that exist without any Service, in the order of a plan. */
  readonly baseChains: readonly LayoutChain[]
  /** The rules of built-in chains that lead to them; those of one chain in the order in which they come to stand. */
  readonly jumps: readonly JumpRule[]
  /** What the chains of one service port begin with; a hash follows. Where external and local share one, one chain is both. */
  readonly prefixes: Readonly<Record<keyof ServiceChainNames | 'endpoint', string>>
}

export type LayoutChain = Pick<BaseChain, 'table' | 'chain' | 'role'>

/** What the name of every chain of kube-proxy or kubelet begins with. */
export const CHAIN_PREFIX = 'KUBE-'

/** Chains that all service ports share, by their names in the kernel. */
export const CHAINS = {
  services: 'KUBE-SERVICES',
  externalServices: 'KUBE-EXTERNAL-SERVICES',
  nodePorts: 'KUBE-NODEPORTS',
  forward: 'KUBE-FORWARD',
  postrouting: 'KUBE-POSTROUTING',
  markMasq: 'KUBE-MARK-MASQ',
  proxyFirewall: 'KUBE-PROXY-FIREWALL',
  firewall: 'KUBE-FIREWALL',
  /**
   * Of nat: layout `classic` leads to it, and kubelets before 1.28 make it, with a rule of KUBE-FIREWALL that drops what it marked.
   * Without that rule it does nothing, and is what an older proxy, or a kubelet that has been replaced, left behind.
   * https://kubernetes.io/blog/2022/09/07/iptables-chains-not-api/
   */
  markDrop: 'KUBE-MARK-DROP',
  canary: 'KUBE-PROXY-CANARY',
} as const

/** The name on its own. */
export const MARK_DROP = CHAINS.markDrop

/** The bit by which KUBE-MARK-DROP marks: kubelet's default (iptablesDropBit 15), and one for where that asks for masquerading. */
export const DROP_MARKS = [0x80_00, 0x40_00] as const

/**
 * The rules that lead from the kernel's chains to ours, in the order in which kube-proxy leaves them: it prepends one
 * after the other, and kubelet's last. The filter table asks new connections alone, since the others were let in already.
 */
const JUMPS: readonly JumpRule[] = [
  ...inChain('filter', 'INPUT', [
    [CHAINS.firewall, []],
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    // Not of new connections alone: a health check may keep its connection.
    [CHAINS.nodePorts, [comment('kubernetes health check service ports')]],
    [CHAINS.externalServices, [isNew, comment('kubernetes externally-visible service portals')]],
  ]),
  ...inChain('filter', 'FORWARD', [
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    [CHAINS.forward, [comment('kubernetes forwarding rules')]],
    [CHAINS.services, [isNew, comment('kubernetes service portals')]],
    [CHAINS.externalServices, [isNew, comment('kubernetes externally-visible service portals')]],
  ]),
  ...inChain('filter', 'OUTPUT', [
    [CHAINS.firewall, []],
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    [CHAINS.services, [isNew, comment('kubernetes service portals')]],
  ]),
  // What arrives, and what the node itself sends.
  ...inChain('nat', 'PREROUTING', [[CHAINS.services, [comment('kubernetes service portals')]]]),
  ...inChain('nat', 'OUTPUT', [[CHAINS.services, [comment('kubernetes service portals')]]]),
  ...inChain('nat', 'POSTROUTING', [[CHAINS.postrouting, [comment('kubernetes postrouting rules')]]]),
]

function inChain(
  table: Table,
  chain: string,
  jumps: readonly (readonly [to: string, matches: readonly Match[]])[],
): readonly JumpRule[] {
  return jumps.map(([to, matches]) => ({ table, chain, rule: { matches, target: jumpTo(to) } }))
}

const PREFIXES: Layout['prefixes'] = {
  cluster: 'KUBE-SVC-',
  local: 'KUBE-SVL-',
  external: 'KUBE-EXT-',
  firewall: 'KUBE-FW-',
  endpoint: 'KUBE-SEP-',
}

const XLB = 'KUBE-XLB-'

/** That of kube-proxy 1.36. */
export const CURRENT: Layout = {
  name: 'current',
  baseChains: [
    { table: 'filter', chain: CHAINS.services, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.externalServices, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.nodePorts, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.proxyFirewall, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.forward, role: 'fixed' },
    { table: 'filter', chain: CHAINS.firewall, role: 'kubelet' },
    { table: 'nat', chain: CHAINS.services, role: 'dispatch' },
    { table: 'nat', chain: CHAINS.nodePorts, role: 'dispatch' },
    { table: 'nat', chain: CHAINS.postrouting, role: 'fixed' },
    { table: 'nat', chain: CHAINS.markMasq, role: 'fixed' },
    { table: 'mangle', chain: CHAINS.canary, role: 'canary' },
    { table: 'filter', chain: CHAINS.canary, role: 'canary' },
    { table: 'nat', chain: CHAINS.canary, role: 'canary' },
  ],
  jumps: JUMPS,
  prefixes: PREFIXES,
}

/**
 * That of kube-proxy 1.20. KUBE-XLB- takes what comes from outside under policy Local and spreads it over this node's endpoints.
 * What is to be dropped is marked in nat by KUBE-MARK-DROP; kubelet drops it in KUBE-FIREWALL, in INPUT and OUTPUT alone.
 */
export const CLASSIC: Layout = {
  name: 'classic',
  baseChains: [
    { table: 'filter', chain: CHAINS.services, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.externalServices, role: 'dispatch' },
    { table: 'filter', chain: CHAINS.forward, role: 'fixed' },
    { table: 'filter', chain: CHAINS.firewall, role: 'kubelet' },
    { table: 'nat', chain: CHAINS.services, role: 'dispatch' },
    { table: 'nat', chain: CHAINS.nodePorts, role: 'dispatch' },
    { table: 'nat', chain: CHAINS.postrouting, role: 'fixed' },
    { table: 'nat', chain: CHAINS.markMasq, role: 'fixed' },
    { table: 'nat', chain: CHAINS.markDrop, role: 'kubelet' },
    { table: 'mangle', chain: CHAINS.canary, role: 'canary' },
    { table: 'filter', chain: CHAINS.canary, role: 'canary' },
    { table: 'nat', chain: CHAINS.canary, role: 'canary' },
  ],
  jumps: JUMPS.filter(({ table, rule: { target } }) => {
    const chain = target?.type === 'jump' ? target.chain : undefined
    return chain !== CHAINS.proxyFirewall && !(table === 'filter' && chain === CHAINS.nodePorts)
  }),
  prefixes: { ...PREFIXES, external: XLB, local: XLB },
}

/** Beginnings of chains of nat, as people read the rules of a service port in any layout; those of filter come after them. */
export const READING_ORDER: readonly string[] = [
  CHAINS.services,
  CHAINS.nodePorts,
  PREFIXES.firewall,
  PREFIXES.external,
  XLB,
  PREFIXES.cluster,
  PREFIXES.local,
  PREFIXES.endpoint,
]

/** The layouts that can be planned. */
export const LAYOUTS: readonly [Layout, ...Layout[]] = [CURRENT, CLASSIC]

/** The layout that a configuration asks for. */
export const layoutOf = ({ layout }: Pick<ProxyConfig, 'layout'>): Layout =>
  LAYOUTS.find(({ name }) => name === layout) ?? CURRENT

/** The chains of a layout that have one of these roles. */
export const chainsOfRole = (
  { baseChains }: Layout,
  ...roles: readonly LayoutChain['role'][]
): readonly LayoutChain[] => baseChains.filter(({ role }) => roles.includes(role))

/**
 * What the chains of service ports begin with, in every layout that there has been, in the order in which they are deleted: a
 * chain is emptied before those that it leads to go. KUBE-XLB- was KUBE-EXT- and KUBE-SVL- in kube-proxies before 1.24.
 */
const DELETION_ORDER: readonly (readonly string[])[] = [
  [PREFIXES.firewall],
  [PREFIXES.external],
  [XLB],
  [PREFIXES.cluster, PREFIXES.local],
  [PREFIXES.endpoint],
]

/** From 0 upwards; chains that are of no service port come last. */
export function deletionRank(chain: string): number {
  const rank = DELETION_ORDER.findIndex((prefixes) => prefixes.some((prefix) => chain.startsWith(prefix)))
  return rank < 0 ? DELETION_ORDER.length : rank
}

const SERVICE_CHAIN = new RegExp(`^(?:${DELETION_ORDER.flat().join('|')})`)

/** Whether a chain belongs to one service port, of whichever proxy's making. */
export const isServiceChain = (chain: string): boolean => SERVICE_CHAIN.test(chain)

/** Whether a chain gives packets to one endpoint. */
export const isEndpointChain = (chain: string): boolean => chain.startsWith(PREFIXES.endpoint)

/** Chains that only kube-proxy's ipvs mode makes: of no layout, and left behind when the mode changes. */
export const IPVS_CHAINS: readonly string[] = [
  'KUBE-NODE-PORT',
  'KUBE-LOAD-BALANCER',
  'KUBE-IPVS-FILTER',
  'KUBE-IPVS-OUT-FILTER',
  'KUBE-SOURCE-RANGES-FIREWALL',
]

const SHARED: ReadonlySet<string> = new Set([
  ...IPVS_CHAINS,
  ...LAYOUTS.flatMap((layout) => chainsOfRole(layout, 'dispatch', 'fixed', 'canary').map(({ chain }) => chain)),
])

/** Whether a chain exists without any Service in some layout or mode, and is not kubelet's as well. */
export const isBaseChain = (chain: string): boolean => SHARED.has(chain)

/** The chains that a service port may have of its own. */
export interface ServiceChainNames {
  /** KUBE-SVC-: spreads over the endpoints that traffic policy Cluster may use. */
  readonly cluster: string
  /** KUBE-SVL-: spreads over those on this node, for traffic policy Local. In layout `classic` KUBE-XLB-. */
  readonly local: string
  /** KUBE-EXT-: what comes by an external address or a node port, on its way to one of the two. In layout `classic` KUBE-XLB-. */
  readonly external: string
  /** KUBE-FW-: lets the load balancer's source ranges on to KUBE-EXT-. */
  readonly firewall: string
}

/** The chain names of a service port; the same in both families. */
export function serviceChainNames(
  port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>,
  { prefixes }: Pick<Layout, 'prefixes'> = CURRENT,
): ServiceChainNames {
  const hash = chainHash(hashedName(port))
  return {
    cluster: `${prefixes.cluster}${hash}`,
    local: `${prefixes.local}${hash}`,
    external: `${prefixes.external}${hash}`,
    firewall: `${prefixes.firewall}${hash}`,
  }
}

/** The names of the chains that a service port may have, in every layout. */
export const everyServiceChainName = (
  port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>,
): readonly string[] => [
  ...new Set(
    LAYOUTS.flatMap((layout) => {
      const { cluster, local, external, firewall } = serviceChainNames(port, layout)
      return [cluster, local, external, firewall]
    }),
  ),
]

/** KUBE-SEP-: the chain that gives packets of one service port to one endpoint. */
export const endpointChainName = (
  port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>,
  endpoint: Pick<Endpoint, 'address' | 'port'>,
  { prefixes }: Pick<Layout, 'prefixes'> = CURRENT,
): string => `${prefixes.endpoint}${chainHash(hashedName(port) + endpointKey(endpoint))}`

const hashedName = (port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>): string =>
  displayName(port) + port.protocol.toLowerCase()
