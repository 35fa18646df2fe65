import { parseCidr } from './address.js'
import { configFields, type ConfigError, type ConfigFields } from './config-fields.js'
import { parseGoDuration } from './go-duration.js'
import { isInterfaceName, LONGEST_INTERFACE_NAME } from './interface-name.js'
import { KNOWN_CONFIG_FIELDS } from './known-config-fields.js'
import { DEFAULT_PROXY_CONFIG, type DetectLocal, type ProxyConfig } from './proxy-config.js'

export type { ConfigError } from './config-fields.js'

export interface ProxyConfigResult {
  /** With kube-proxy's default for every field that is absent or wrong. Not to be used while there are errors. */
  readonly config: ProxyConfig
  /** Fields that no KubeProxyConfiguration has, and settings without effect. */
  readonly warnings: readonly string[]
  readonly errors: readonly ConfigError[]
}

/**
 * Reads a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), parsed from YAML or JSON already. Takes any value
 * and never throws. What is valid, and the defaults, are kube-proxy 1.36's. `families` and `layout` are not in such a
 * document and keep their defaults.
 */
export function readProxyConfig(document: unknown): ProxyConfigResult {
  const errors: ConfigError[] = []
  const warnings: string[] = []
  const root = configFields(document, '', errors)
  if (document === undefined || document === null) {
    errors.push({ path: '', message: 'the document is empty: give a KubeProxyConfiguration' })
  }
  checkKind(root, warnings)
  warnOfUnknown(root, warnings)
  checkMode(root)

  const iptables = root.within('iptables')
  const nodeName = root.text('hostnameOverride')?.trim().toLowerCase()
  const config: ProxyConfig = {
    ...DEFAULT_PROXY_CONFIG,
    ...(nodeName !== undefined && nodeName !== '' && { nodeName }),
    detectLocal: readDetectLocal(root, warnings),
    masqueradeAll: iptables.flag('masqueradeAll') ?? DEFAULT_PROXY_CONFIG.masqueradeAll,
    masqueradeBit: readMasqueradeBit(iptables),
    localhostNodePorts: iptables.flag('localhostNodePorts') ?? DEFAULT_PROXY_CONFIG.localhostNodePorts,
    nodePortAddresses: readNodePortAddresses(root),
    tcpBeLiberal: root.within('conntrack').flag('tcpBeLiberal') ?? DEFAULT_PROXY_CONFIG.tcpBeLiberal,
    minSyncPeriodMs: readPeriod(iptables, 'minSyncPeriod', DEFAULT_PROXY_CONFIG.minSyncPeriodMs),
    syncPeriodMs: readPeriod(iptables, 'syncPeriod', DEFAULT_PROXY_CONFIG.syncPeriodMs),
  }
  if (config.minSyncPeriodMs > config.syncPeriodMs) {
    iptables.reject('syncPeriod', 'must not be less than iptables.minSyncPeriod')
  }
  return { config, warnings, errors: withoutRepetitions(errors) }
}

function checkKind(root: ConfigFields, warnings: string[]): void {
  const wanted = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' }
  for (const [name, value] of Object.entries(wanted)) {
    const found = root.text(name)
    if (found === undefined) warnings.push(`${name} is missing: the document is read as ${value}`)
    else if (found !== value) root.reject(name, `must be ${value}, and is ${JSON.stringify(found)}`)
  }
}

function warnOfUnknown(root: ConfigFields, warnings: string[]): void {
  for (const [mapping, known] of KNOWN_CONFIG_FIELDS) {
    const fields = mapping === '' ? root : root.within(mapping)
    for (const { name, path } of fields.names()) {
      if (!known.has(name)) warnings.push(`${path} is not a field of a KubeProxyConfiguration, and has no effect`)
    }
  }
}

function checkMode(root: ConfigFields): void {
  const mode = root.text('mode')
  if (mode === undefined || mode === '' || mode === 'iptables') return
  root.reject('mode', `${JSON.stringify(mode)} is not supported: set it to iptables or leave it out`)
}

function readDetectLocal(root: ConfigFields, warnings: string[]): DetectLocal {
  const mode = root.text('detectLocalMode') ?? ''
  const cidrs = readClusterCidrs(root)
  const interfaces = root.within('detectLocal')
  const bridge = interfaces.text('bridgeInterface') ?? ''
  const prefix = interfaces.text('interfaceNamePrefix') ?? ''
  switch (mode) {
    case '':
      return cidrs.length > 0 ? { mode: 'ClusterCIDR', cidrs } : { mode: 'None' }
    case 'ClusterCIDR':
      if (cidrs.length > 0) return { mode, cidrs }
      warnings.push('detectLocalMode is ClusterCIDR and clusterCIDR is empty: no source counts as a pod of this node')
      return { mode: 'None' }
    case 'NodeCIDR':
      return { mode }
    case 'BridgeInterface':
      if (bridge === '') interfaces.reject('bridgeInterface', 'must be set where detectLocalMode is BridgeInterface')
      else if (isInterfaceName(bridge)) return { mode, bridge }
      else interfaces.reject('bridgeInterface', `${JSON.stringify(bridge)} is no name of a network interface`)
      return { mode: 'None' }
    case 'InterfaceNamePrefix':
      if (prefix === '') {
        interfaces.reject('interfaceNamePrefix', 'must be set where detectLocalMode is InterfaceNamePrefix')
      } else if (isInterfaceName(prefix, LONGEST_INTERFACE_NAME - 1)) {
        return { mode, prefix }
      } else {
        const message = `${JSON.stringify(prefix)} is no name that one of a network interface can begin with`
        interfaces.reject('interfaceNamePrefix', message)
      }
      return { mode: 'None' }
    default:
      root.reject(
        'detectLocalMode',
        `must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix, and is ${JSON.stringify(mode)}`,
      )
      return { mode: 'None' }
  }
}

/** One CIDR, or one of each family with a comma between. */
function readClusterCidrs(root: ConfigFields): readonly string[] {
  const text = root.text('clusterCIDR') ?? ''
  if (text.trim() === '') return []
  const parts = text.split(',').map((part) => part.trim())
  const cidrs = parts.map(parseCidr)
  const known = cidrs.filter((cidr) => cidr !== undefined)
  const wrong = parts.filter((_, index) => cidrs[index] === undefined)
  for (const part of wrong) root.reject('clusterCIDR', `${JSON.stringify(part)} is not a CIDR such as 10.244.0.0/16`)
  if (new Set(known.map((cidr) => cidr.family)).size < known.length) {
    root.reject('clusterCIDR', 'holds two CIDRs of one family: give one, or one IPv4 and one IPv6')
    return []
  }
  return wrong.length > 0 ? [] : known.map((cidr) => cidr.text)
}

function readNodePortAddresses(root: ConfigFields): ProxyConfig['nodePortAddresses'] {
  const entries = root.texts('nodePortAddresses') ?? []
  if (entries.length === 0) return 'all'
  if (entries.length === 1 && entries[0] === 'primary') return 'primary'
  const cidrs = entries.map((entry) => parseCidr(entry))
  for (const [index, entry] of entries.entries()) {
    if (cidrs[index] !== undefined) continue
    root.reject(
      `nodePortAddresses[${index}]`,
      entry === 'primary' ? 'primary must stand alone' : `${JSON.stringify(entry)} is neither a CIDR nor primary`,
    )
  }
  return cidrs.flatMap((cidr) => cidr?.text ?? [])
}

function readMasqueradeBit(iptables: ConfigFields): number {
  const bit = iptables.integer('masqueradeBit') ?? DEFAULT_PROXY_CONFIG.masqueradeBit
  if (bit >= 0 && bit <= 31) return bit
  iptables.reject('masqueradeBit', `must be a bit from 0 to 31, and is ${bit}`)
  return DEFAULT_PROXY_CONFIG.masqueradeBit
}

function readPeriod(iptables: ConfigFields, name: string, fallback: number): number {
  const text = iptables.text(name)
  if (text === undefined) return fallback
  const period = parseGoDuration(text)
  if (period === undefined) iptables.reject(name, `${JSON.stringify(text)} is not a duration such as 30s or 1m0s`)
  else if (period < 0) iptables.reject(name, `must not be negative, and is ${text}`)
  return period === undefined || period <= 0 ? fallback : period
}

/** A mapping of a wrong type is read, and reported, once for each of its uses. */
function withoutRepetitions(errors: readonly ConfigError[]): readonly ConfigError[] {
  const byText = new Map(errors.map((error) => [`${error.path} ${error.message}`, error]))
  return [...byText.values()]
}
