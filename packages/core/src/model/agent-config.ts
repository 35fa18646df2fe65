import type { Json } from './kubernetes-object.js'
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from './proxy-config.js'
import type { SocketAddress } from './address.js'

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
  /** From 0: the higher, the more is told. */
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
