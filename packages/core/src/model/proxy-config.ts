import type { IpFamily, SocketAddress } from './address.js'
import { isJsonObject } from './json-value.js'
import type { Json, JsonObject } from './kubernetes-object.js'

/** How traffic that starts at pods of this node is distinguished from other traffic (kube-proxy's detectLocalMode). */
export type DetectLocal =
  /** Not configured: no source counts as a pod of this node. */
  | { readonly mode: 'None' }
  | { readonly mode: 'ClusterCIDR'; readonly cidrs: readonly string[] }
  /** The CIDRs are the Node's own podCIDRs. */
  | { readonly mode: 'NodeCIDR' }
  | { readonly mode: 'BridgeInterface'; readonly bridge: string }
  | { readonly mode: 'InterfaceNamePrefix'; readonly prefix: string }

/**
 * The shapes of rules: of mode iptables those of kube-proxy 1.36 (`current`) and 1.20 (`classic`), of mode nftables those of
 * kube-proxy 1.36 (`kube-proxy`) and our own (`compact`). Which ones a mode has, and its default, is known by its Dataplane.
 */
export const LAYOUTS = ['current', 'classic', 'kube-proxy', 'compact'] as const
export type Layout = (typeof LAYOUTS)[number]

/** The part of a KubeProxyConfiguration that decides about packets and syncs, the same for every backend. */
export interface ProxyConfig {
  /** kube-proxy's name of the data plane: `iptables`, `nftables`. */
  readonly mode: string
  /** hostnameOverride. Absent: `--node`, or the only Node in the input. */
  readonly nodeName?: string
  /** bindAddress, where it names one address: the node IP of its family, whatever the Node says. */
  readonly nodeIp?: string
  readonly families: readonly IpFamily[]
  readonly layout: Layout
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
  mode: 'iptables',
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

/** The configuration as a log keeps it: `configOfRecord` reads it back. */
export const storedConfig = (config: ProxyConfig): JsonObject => ({ ...config })

/**
 * The configuration that a log's record holds. A field that the record lacks, as those of older logs do, or that has another
 * type than it may have, is as by default; nothing is taken from any other configuration.
 */
export function configOfRecord(stored: JsonObject): ProxyConfig {
  const defaults = DEFAULT_PROXY_CONFIG
  const flag = (name: 'masqueradeAll' | 'localhostNodePorts' | 'tcpBeLiberal'): boolean => {
    const value = stored[name]
    return typeof value === 'boolean' ? value : defaults[name]
  }
  const period = (name: 'minSyncPeriodMs' | 'syncPeriodMs'): number => {
    const value = stored[name]
    return typeof value === 'number' && value >= 0 ? value : defaults[name]
  }
  const { mode, nodeName, nodeIp, families, layout, nodePortAddresses } = stored
  return {
    mode: typeof mode === 'string' ? mode : defaults.mode,
    ...(typeof nodeName === 'string' && { nodeName }),
    ...(typeof nodeIp === 'string' && { nodeIp }),
    families: isTexts(families) ? families.filter(isFamily) : defaults.families,
    layout: LAYOUTS.find((known) => known === layout) ?? defaults.layout,
    detectLocal: detectLocalOf(stored['detectLocal']) ?? defaults.detectLocal,
    masqueradeAll: flag('masqueradeAll'),
    masqueradeBit: isMarkBit(stored['masqueradeBit']) ? stored['masqueradeBit'] : defaults.masqueradeBit,
    localhostNodePorts: flag('localhostNodePorts'),
    nodePortAddresses:
      isTexts(nodePortAddresses) || nodePortAddresses === 'primary' ? nodePortAddresses : defaults.nodePortAddresses,
    tcpBeLiberal: flag('tcpBeLiberal'),
    minSyncPeriodMs: period('minSyncPeriodMs'),
    syncPeriodMs: period('syncPeriodMs'),
  }
}

const isTexts = (value: Json | undefined): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string')

const isMarkBit = (value: Json | undefined): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 32

const isFamily = (text: string): text is IpFamily => text === 'IPv4' || text === 'IPv6'

function detectLocalOf(stored: Json | undefined): DetectLocal | undefined {
  if (!isJsonObject(stored)) return undefined
  const { mode, cidrs, bridge, prefix } = stored
  if (mode === 'None' || mode === 'NodeCIDR') return { mode }
  if (mode === 'ClusterCIDR' && isTexts(cidrs)) return { mode, cidrs }
  if (mode === 'BridgeInterface' && typeof bridge === 'string') return { mode, bridge }
  if (mode === 'InterfaceNamePrefix' && typeof prefix === 'string') return { mode, prefix }
  return undefined
}

/** All of a KubeProxyConfiguration, as the agent uses it: with kube-proxy's default for whatever is absent. */
export interface AgentConfig {
  /** What decides about rules, the same for every command. */
  readonly proxy: ProxyConfig
  readonly client: ClientConfig
  /** As given. The address that it names is `proxy.nodeIp`; its family that of the servers' default addresses. */
  readonly bindAddress: string
  /** A server that cannot listen ends the process, in place of being tried again every five seconds. */
  readonly bindAddressHardFail: boolean
  /** Absent: no such server. */
  readonly healthzBindAddress?: SocketAddress
  readonly metricsBindAddress?: SocketAddress
  /** The metrics port also takes a new verbosity. */
  readonly enableProfiling: boolean
  /** From -1000, never killed for lack of memory, to 1000. */
  readonly oomScoreAdj: number
  readonly conntrack: ConntrackConfig
  readonly logging: LoggingConfig
  readonly featureGates: Readonly<Record<string, boolean>>
  /** Fields without effect, by their paths, as given: for `/configz` and `--write-config-to` alone. */
  readonly withoutEffect: Readonly<Record<string, Json>>
}

export interface ClientConfig {
  /** Absent: the service account of the pod that this runs in. */
  readonly kubeconfig?: string
  /** --master: in place of the kubeconfig's server. */
  readonly server?: string
  /** Requests a second, in the long run and at once. */
  readonly qps: number
  readonly burst: number
}

/** Of the kernel's conntrack; 0 leaves a setting as it is. */
export interface ConntrackConfig {
  /** 0 leaves nf_conntrack_max alone, whatever `min` says. */
  readonly maxPerCore: number
  readonly min: number
  readonly tcpEstablishedTimeoutMs: number
  readonly tcpCloseWaitTimeoutMs: number
  readonly udpTimeoutMs: number
  readonly udpStreamTimeoutMs: number
  /** False leaves it as it is. */
  readonly tcpBeLiberal: boolean
}

export interface LoggingConfig {
  readonly format: 'text' | 'json'
  /** From 0: the higher, the more is logged. */
  readonly verbosity: number
}

/** kube-proxy 1.36's defaults. */
export const DEFAULT_AGENT_CONFIG: AgentConfig = {
  proxy: DEFAULT_PROXY_CONFIG,
  client: { qps: 5, burst: 10 },
  bindAddress: '0.0.0.0',
  bindAddressHardFail: false,
  healthzBindAddress: { host: '0.0.0.0', port: 10_256 },
  metricsBindAddress: { host: '127.0.0.1', port: 10_249 },
  enableProfiling: false,
  oomScoreAdj: -999,
  conntrack: {
    maxPerCore: 32_768,
    min: 131_072,
    tcpEstablishedTimeoutMs: 24 * 3_600_000,
    tcpCloseWaitTimeoutMs: 3_600_000,
    udpTimeoutMs: 0,
    udpStreamTimeoutMs: 0,
    tcpBeLiberal: false,
  },
  logging: { format: 'text', verbosity: 0 },
  featureGates: {},
  withoutEffect: {},
}
