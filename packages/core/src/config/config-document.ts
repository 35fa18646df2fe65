import { formatSocketAddress } from '../model/address.js'
import type { AgentConfig, DetectLocal, ProxyConfig } from '../model/proxy-config.js'
import { isJsonObject } from '../model/json-value.js'
import type { Json, JsonObject } from '../model/kubernetes-object.js'
import { formatGoDuration } from '../model/time-formats.js'
import { KNOWN_CONFIG_FIELDS } from './known-fields.js'

interface OpenConfigDocument {
  readonly root: ConfigFields
  /** Grow as fields are read. */
  readonly warnings: string[]
  readonly errors: ConfigError[]
}

/** What is to be asked of a document before its fields: that it is a KubeProxyConfiguration, and holds no others. */
export function openConfigDocument(document: unknown): OpenConfigDocument {
  const errors: ConfigError[] = []
  const warnings: string[] = []
  const root = configFields(document, '', errors)
  if (document === undefined || document === null) {
    errors.push({ path: '', message: 'the document is empty: give a KubeProxyConfiguration' })
  }
  checkKind(root, warnings)
  warnOfUnknown(root, warnings)
  return { root, warnings, errors }
}

/** A mapping of a wrong type is read, and reported, once for each of its uses. */
export function withoutRepetitions(errors: readonly ConfigError[]): readonly ConfigError[] {
  const byText = new Map(errors.map((error) => [`${error.path} ${error.message}`, error]))
  return [...byText.values()]
}

export const CONFIG_KIND = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' } as const

function checkKind(root: ConfigFields, warnings: string[]): void {
  for (const [name, value] of Object.entries(CONFIG_KIND)) {
    const found = root.text(name)
    if (found === undefined) warnings.push(`${name} is missing: the document is read as ${value}`)
    else if (found !== value) root.reject(name, `must be ${value}, and is ${JSON.stringify(found)}`)
  }
}

function warnOfUnknown(root: ConfigFields, warnings: string[]): void {
  for (const [mapping, known] of KNOWN_CONFIG_FIELDS) {
    const steps = mapping === '' ? [] : mapping.split('.')
    const fields = steps.reduce((outer, step) => outer.within(step), root)
    for (const { name, path } of fields.names()) {
      if (!known.has(name)) warnings.push(`${path} is not a field of a KubeProxyConfiguration, and has no effect`)
    }
  }
}

/** Something in a configuration that cannot be used, and where: `iptables.syncPeriod`. */
export interface ConfigError {
  /** Empty for the document as a whole. */
  readonly path: string
  readonly message: string
}

/** Reads fields of one mapping in a configuration: a field that is absent or null is undefined, one of another type an error. */
export interface ConfigFields {
  text(name: string): string | undefined
  flag(name: string): boolean | undefined
  integer(name: string): number | undefined
  /** Any finite number. */
  number(name: string): number | undefined
  texts(name: string): readonly string[] | undefined
  /** A mapping within; an empty one where it is absent. */
  within(name: string): ConfigFields
  /** What is there, whatever it is. */
  value(name: string): unknown
  /** Reports a field whose value has the right type and still cannot be used. */
  reject(name: string, message: string): void
  /** Names of the fields that are there, with their full paths. */
  names(): readonly { readonly name: string; readonly path: string }[]
}

function configFields(value: unknown, path: string, errors: ConfigError[]): ConfigFields {
  const pathOf = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const fields: ReadonlyMap<string, unknown> = isMapping(value) ? new Map(Object.entries(value)) : new Map()
  const reject = (name: string, message: string): void => {
    errors.push({ path: pathOf(name), message })
  }
  if (!isMapping(value) && value !== undefined && value !== null) {
    errors.push({ path, message: `must be a mapping, and is ${describe(value)}` })
  }
  const read = <Value>(name: string, wanted: string, is: (field: unknown) => field is Value): Value | undefined => {
    const field = fields.get(name)
    if (field === undefined || field === null) return undefined
    if (is(field)) return field
    reject(name, `must be ${wanted}, and is ${describe(field)}`)
    return undefined
  }
  return {
    text: (name) => read(name, 'a text', isText),
    flag: (name) => read(name, 'true or false', isFlag),
    integer: (name) => read(name, 'a whole number', isInteger),
    number: (name) => read(name, 'a number', isNumber),
    texts: (name) => read(name, 'a list of texts', isTexts),
    within: (name) => configFields(fields.get(name), pathOf(name), errors),
    value: (name) => fields.get(name),
    reject,
    names: () => [...fields.keys()].map((name) => ({ name, path: pathOf(name) })),
  }
}

const isMapping = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isInteger = (value: unknown): value is number => Number.isSafeInteger(value)
const isNumber = (value: unknown): value is number => Number.isFinite(value)
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText)

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'string')
    return JSON.stringify(value.length > MOST_SHOWN ? `${value.slice(0, MOST_SHOWN)}...` : value)
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`
}

/** A file that is no configuration at all may be one long text. */
const MOST_SHOWN = 80

/**
 * The effective configuration as a KubeProxyConfiguration v1alpha1, each default written out, as kube-proxy 1.36 writes it:
 * `--write-config-to`, `/configz`. Reading it again gives the same configuration.
 */
export function configDocument(config: AgentConfig): JsonObject {
  const { proxy, client, conntrack, logging, featureGates, healthzBindAddress, metricsBindAddress } = config
  const isNftables = proxy.mode === 'nftables'
  const ofMode = {
    masqueradeAll: proxy.masqueradeAll,
    masqueradeBit: proxy.masqueradeBit,
    minSyncPeriod: formatGoDuration(proxy.minSyncPeriodMs),
    syncPeriod: formatGoDuration(proxy.syncPeriodMs),
  }
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
      localhostNodePorts: isNftables || proxy.localhostNodePorts,
      ...(isNftables ? OF_ANOTHER_MODE : ofMode),
    },
    logging: { ...LOGGING, format: logging.format, verbosity: logging.verbosity },
    metricsBindAddress: metricsBindAddress === undefined ? '' : formatSocketAddress(metricsBindAddress),
    mode: proxy.mode,
    nodePortAddresses: nodePortAddressesDocument(proxy),
    oomScoreAdj: config.oomScoreAdj,
    ...OF_OTHER_MODES,
    nftables: isNftables ? ofMode : OF_ANOTHER_MODE,
    portRange: '',
    showHiddenMetricsForVersion: '',
  }
  return Object.entries(config.withoutEffect).reduce((whole, [path, value]) => withField(whole, path, value), document)
}

const LOGGING = {
  flushFrequency: '5s',
  options: { json: { infoBufferSize: '0' }, text: { infoBufferSize: '0' } },
} as const

/** The section of whichever of iptables and nftables is not the mode. */
const OF_ANOTHER_MODE = { masqueradeAll: false, masqueradeBit: 14, minSyncPeriod: '0s', syncPeriod: '0s' } as const

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
