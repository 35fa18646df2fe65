import type { IpFamily } from './address.js'

/** How traffic that starts at pods of this node is told from other traffic (kube-proxy's detectLocalMode). */
export type DetectLocal =
  /** Not configured: no source counts as a pod of this node. */
  | { readonly mode: 'None' }
  | { readonly mode: 'ClusterCIDR'; readonly cidrs: readonly string[] }
  /** The CIDRs are the Node's own podCIDRs. */
  | { readonly mode: 'NodeCIDR' }
  | { readonly mode: 'BridgeInterface'; readonly bridge: string }
  | { readonly mode: 'InterfaceNamePrefix'; readonly prefix: string }

/** The part of a KubeProxyConfiguration that decides about packets and syncs, the same for every backend. */
export interface ProxyConfig {
  /** hostnameOverride. Absent: `--node`, or the only Node in the input. */
  readonly nodeName?: string
  /** bindAddress, where it names one address: the node IP of its family, whatever the Node says. */
  readonly nodeIp?: string
  readonly families: readonly IpFamily[]
  readonly layout: 'current' | 'classic'
  readonly detectLocal: DetectLocal
  readonly masqueradeAll: boolean
  /** The bit of the packet mark that asks for masquerading: mark `1 << masqueradeBit`. */
  readonly masqueradeBit: number
  /** Node ports on 127.0.0.0/8 (IPv4 only). */
  readonly localhostNodePorts: boolean
  /** Node ports answer on node addresses within these CIDRs; `all` where unset; `primary`: the node IP of each family. */
  readonly nodePortAddresses: 'all' | 'primary' | readonly string[]
  /** conntrack.tcpBeLiberal: packets of state INVALID are not dropped. */
  readonly tcpBeLiberal: boolean
  /** From the end of a sync to the start of the next, at least. */
  readonly minSyncPeriodMs: number
  /** Between retries after a failure, at most. */
  readonly syncPeriodMs: number
}

/** kube-proxy 1.36's defaults; nothing about the cluster is assumed. */
export const DEFAULT_PROXY_CONFIG: ProxyConfig = {
  families: ['IPv4', 'IPv6'],
  layout: 'current',
  detectLocal: { mode: 'None' },
  masqueradeAll: false,
  masqueradeBit: 14,
  localhostNodePorts: true,
  nodePortAddresses: 'all',
  tcpBeLiberal: false,
  minSyncPeriodMs: 1000,
  syncPeriodMs: 30_000,
}
