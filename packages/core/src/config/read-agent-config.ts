import { parseAddress, parseSocketAddress, type SocketAddress } from '../model/address.js'
import {
  type AgentConfig,
  type ClientConfig,
  type ConntrackConfig,
  DEFAULT_AGENT_CONFIG,
  type LoggingConfig,
} from '../model/proxy-config.js'
import { type ConfigError, type ConfigFields, openConfigDocument, withoutRepetitions } from './config-document.js'
import { KNOWN_FEATURE_GATES, warningsOfNoEffect, withoutEffectIn } from './known-fields.js'
import { proxyConfigOf, type ReadConfigOptions, readDuration } from './read-proxy-config.js'

export interface AgentConfigResult {
  /** With kube-proxy's default for every field that is absent or wrong. Not to be used while there are errors. */
  readonly config: AgentConfig
  /** Fields that no KubeProxyConfiguration has, and settings without effect, each once. */
  readonly warnings: readonly string[]
  readonly errors: readonly ConfigError[]
}

/**
 * Reads a whole KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), parsed from YAML or JSON already. Takes any value
 * and never throws. What is valid, and the defaults, are kube-proxy 1.36's: null, an empty text and, where
 * kube-proxy has it so, 0 mean the default.
 */
export function readAgentConfig(document: unknown, options: ReadConfigOptions = {}): AgentConfigResult {
  const { root, warnings, errors } = openConfigDocument(document)
  const proxy = proxyConfigOf(root, warnings, options)
  const addresses = defaultAddresses(root.text('bindAddress') ?? '')
  const config: AgentConfig = {
    proxy,
    client: readClient(root.within('clientConnection')),
    bindAddress: root.text('bindAddress') || DEFAULT_AGENT_CONFIG.bindAddress,
    bindAddressHardFail: root.flag('bindAddressHardFail') ?? DEFAULT_AGENT_CONFIG.bindAddressHardFail,
    healthzBindAddress: readSocketAddress(root, 'healthzBindAddress', addresses.healthz),
    metricsBindAddress: readSocketAddress(root, 'metricsBindAddress', addresses.metrics),
    enableProfiling: root.flag('enableProfiling') ?? DEFAULT_AGENT_CONFIG.enableProfiling,
    oomScoreAdj: readWithin(root, 'oomScoreAdj', { least: -1000, most: 1000 }) ?? DEFAULT_AGENT_CONFIG.oomScoreAdj,
    conntrack: readConntrack(root.within('conntrack'), proxy.tcpBeLiberal),
    logging: readLogging(root.within('logging')),
    featureGates: readFeatureGates(root.within('featureGates')),
    withoutEffect: withoutEffectIn(root, proxy.mode),
  }
  checkWithoutEffect(root)
  warnings.push(...warningsOfNoEffect(config.withoutEffect, proxy.mode))
  return { config, warnings, errors: withoutRepetitions(errors) }
}

function readClient(client: ConfigFields): ClientConfig {
  const kubeconfig = client.text('kubeconfig') ?? ''
  const fallback = DEFAULT_AGENT_CONFIG.client
  return {
    ...(kubeconfig !== '' && { kubeconfig }),
    qps: client.number('qps') || fallback.qps,
    burst: readWithin(client, 'burst', COUNT) || fallback.burst,
  }
}

/** kube-proxy's servers listen in the family of bindAddress (getDefaultAddresses). */
function defaultAddresses(bindAddress: string): { readonly healthz: SocketAddress; readonly metrics: SocketAddress } {
  const isIPv6 = parseAddress(bindAddress)?.family === 'IPv6'
  return {
    healthz: { host: isIPv6 ? '::' : '0.0.0.0', port: HEALTHZ_PORT },
    metrics: { host: isIPv6 ? '::1' : '127.0.0.1', port: METRICS_PORT },
  }
}

export const HEALTHZ_PORT = 10_256
export const METRICS_PORT = 10_249

function readSocketAddress(root: ConfigFields, name: string, fallback: SocketAddress): SocketAddress {
  const text = root.text(name) ?? ''
  if (text === '') return fallback
  const address = parseSocketAddress(text, fallback.port)
  if (address === undefined) {
    root.reject(name, `${JSON.stringify(text)} is not an IP address and a port, such as ${EXAMPLES}`)
  }
  return address ?? fallback
}

const EXAMPLES = '127.0.0.1:10249 or [::1]:10249'

function readConntrack(fields: ConfigFields, tcpBeLiberal: boolean): ConntrackConfig {
  const fallback = DEFAULT_AGENT_CONFIG.conntrack
  return {
    maxPerCore: readWithin(fields, 'maxPerCore', COUNT) ?? fallback.maxPerCore,
    min: readWithin(fields, 'min', COUNT) ?? fallback.min,
    tcpEstablishedTimeoutMs: readDuration(fields, 'tcpEstablishedTimeout') ?? fallback.tcpEstablishedTimeoutMs,
    tcpCloseWaitTimeoutMs: readDuration(fields, 'tcpCloseWaitTimeout') ?? fallback.tcpCloseWaitTimeoutMs,
    udpTimeoutMs: readDuration(fields, 'udpTimeout') ?? fallback.udpTimeoutMs,
    udpStreamTimeoutMs: readDuration(fields, 'udpStreamTimeout') ?? fallback.udpStreamTimeoutMs,
    tcpBeLiberal,
  }
}

function readFeatureGates(gates: ConfigFields): Readonly<Record<string, boolean>> {
  const read: Record<string, boolean> = {}
  for (const { name } of gates.names()) {
    if (!KNOWN_FEATURE_GATES.has(name)) {
      gates.reject(name, 'is not a feature gate that kube-proxy 1.36 knows: take it out, or correct its name')
    }
    const isOn = gates.flag(name)
    if (isOn !== undefined) read[name] = isOn
  }
  return read
}

/** What kube-proxy refuses is refused, though it would have no effect: another node may run kube-proxy with it. */
function checkWithoutEffect(root: ConfigFields): void {
  const client = root.within('clientConnection')
  client.text('contentType')
  client.text('acceptContentTypes')
  readDuration(root, 'configSyncPeriod')
  const version = root.text('showHiddenMetricsForVersion') ?? ''
  if (version !== '' && !/^\d+\.\d+$/.test(version)) {
    root.reject('showHiddenMetricsForVersion', `${JSON.stringify(version)} is not a version such as 1.35`)
  }
}

const COUNT = { least: 0, most: 2 ** 31 - 1 }

function readWithin(
  fields: ConfigFields,
  name: string,
  { least, most }: { readonly least: number; readonly most: number },
): number | undefined {
  const value = fields.integer(name)
  if (value === undefined || (value >= least && value <= most)) return value
  fields.reject(name, `must be a number from ${least} to ${most}, and is ${value}`)
  return undefined
}

/** `logging` of a KubeProxyConfiguration: the LoggingConfiguration of Kubernetes' components. */
function readLogging(logging: ConfigFields): LoggingConfig {
  const fallback = DEFAULT_AGENT_CONFIG.logging
  const format = logging.text('format') ?? ''
  if (format !== '' && format !== 'text' && format !== 'json') {
    logging.reject('format', `must be text or json, and is ${JSON.stringify(format)}`)
  }
  const verbosity = logging.integer('verbosity') ?? fallback.verbosity
  if (verbosity < 0) logging.reject('verbosity', `must not be negative, and is ${verbosity}`)
  // A number is one of nanoseconds.
  if (typeof logging.value('flushFrequency') !== 'number') readDuration(logging, 'flushFrequency')
  return { format: format === 'json' ? 'json' : fallback.format, verbosity: Math.max(0, verbosity) }
}
