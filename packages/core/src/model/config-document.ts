import type { AgentConfig } from './agent-config.js'
import { formatGoDuration } from './go-duration.js'
import { isJsonObject } from './is-json-object.js'
import type { Json, JsonObject } from './kubernetes-object.js'
import { CONFIG_KIND } from './open-config-document.js'
import type { DetectLocal, ProxyConfig } from './proxy-config.js'
import { formatSocketAddress } from './socket-address.js'

/**
 * The effective configuration as a KubeProxyConfiguration v1alpha1, each default written out, as kube-proxy 1.36 writes it:
 * `--write-config-to`, `/configz`. Reading it again gives the same configuration.
 */
export function configDocument(config: AgentConfig): JsonObject {
  const { proxy, client, conntrack, logging, featureGates, healthzBindAddress, metricsBindAddress } = config
  const document: JsonObject = {
    ...CONFIG_KIND,
    bindAddress: config.bindAddress,
    bindAddressHardFail: config.bindAddressHardFail,
    clientConnection: {
      acceptContentTypes: '',
      burst: client.burst,
      contentType: 'application/vnd.kubernetes.protobuf',
      kubeconfig: client.kubeconfig ?? '',
      qps: client.qps,
    },
    ...localityDocument(proxy.detectLocal),
    configSyncPeriod: '15m0s',
    conntrack: {
      maxPerCore: conntrack.maxPerCore,
      min: conntrack.min,
      tcpBeLiberal: conntrack.tcpBeLiberal,
      tcpCloseWaitTimeout: formatGoDuration(conntrack.tcpCloseWaitTimeoutMs),
      tcpEstablishedTimeout: formatGoDuration(conntrack.tcpEstablishedTimeoutMs),
      udpStreamTimeout: formatGoDuration(conntrack.udpStreamTimeoutMs),
      udpTimeout: formatGoDuration(conntrack.udpTimeoutMs),
    },
    enableProfiling: config.enableProfiling,
    // Go leaves an empty map out.
    ...(Object.keys(featureGates).length > 0 && { featureGates }),
    healthzBindAddress: healthzBindAddress === undefined ? '' : formatSocketAddress(healthzBindAddress),
    hostnameOverride: proxy.nodeName ?? '',
    iptables: {
      localhostNodePorts: proxy.localhostNodePorts,
      masqueradeAll: proxy.masqueradeAll,
      masqueradeBit: proxy.masqueradeBit,
      minSyncPeriod: formatGoDuration(proxy.minSyncPeriodMs),
      syncPeriod: formatGoDuration(proxy.syncPeriodMs),
    },
    logging: { ...LOGGING, format: logging.format, verbosity: logging.verbosity },
    metricsBindAddress: metricsBindAddress === undefined ? '' : formatSocketAddress(metricsBindAddress),
    mode: 'iptables',
    nodePortAddresses: nodePortAddressesDocument(proxy),
    oomScoreAdj: config.oomScoreAdj,
    ...OF_OTHER_MODES,
    portRange: '',
    showHiddenMetricsForVersion: '',
  }
  return Object.entries(config.withoutEffect).reduce((whole, [path, value]) => withField(whole, path, value), document)
}

const LOGGING = {
  flushFrequency: '5s',
  options: { json: { infoBufferSize: '0' }, text: { infoBufferSize: '0' } },
} as const

const OF_OTHER_MODES: JsonObject = {
  ipvs: {
    excludeCIDRs: null,
    minSyncPeriod: '0s',
    scheduler: '',
    strictARP: false,
    syncPeriod: '0s',
    tcpFinTimeout: '0s',
    tcpTimeout: '0s',
    udpTimeout: '0s',
  },
  nftables: { masqueradeAll: false, masqueradeBit: 14, minSyncPeriod: '0s', syncPeriod: '0s' },
  winkernel: {
    enableDSR: false,
    forwardHealthCheckVip: false,
    networkName: '',
    rootHnsEndpointName: '',
    sourceVip: '',
  },
}

function localityDocument(detectLocal: DetectLocal): JsonObject {
  return {
    clusterCIDR: detectLocal.mode === 'ClusterCIDR' ? detectLocal.cidrs.join(',') : '',
    detectLocal: {
      bridgeInterface: detectLocal.mode === 'BridgeInterface' ? detectLocal.bridge : '',
      interfaceNamePrefix: detectLocal.mode === 'InterfaceNamePrefix' ? detectLocal.prefix : '',
    },
    // kube-proxy knows no other word for it than the mode without a CIDR; empty is read as that.
    detectLocalMode: detectLocal.mode === 'None' ? '' : detectLocal.mode,
  }
}

function nodePortAddressesDocument({ nodePortAddresses }: ProxyConfig): Json {
  if (nodePortAddresses === 'all') return null
  return nodePortAddresses === 'primary' ? ['primary'] : nodePortAddresses
}

function withField(document: JsonObject, path: string, value: Json): JsonObject {
  const [name = '', ...rest] = path.split('.')
  if (rest.length === 0) return { ...document, [name]: value }
  const inner = document[name]
  return { ...document, [name]: withField(isJsonObject(inner) ? inner : {}, rest.join('.'), value) }
}
