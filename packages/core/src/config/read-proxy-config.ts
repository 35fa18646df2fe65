import { parseAddress, parseCidr } from '../model/address.js'
import { DEFAULT_PROXY_CONFIG, type DetectLocal, type ProxyConfig } from '../model/proxy-config.js'
import { parseGoDuration } from '../model/time-formats.js'
import { type ConfigError, type ConfigFields, openConfigDocument, withoutRepetitions } from './config-document.js'

export type { ConfigError } from './config-document.js'

export interface ProxyConfigResult {
  /** With kube-proxy's default for every field that is absent or wrong. Not to be used while there are errors. */
  readonly config: ProxyConfig
  /** Fields that no KubeProxyConfiguration has, and settings without effect. */
  readonly warnings: readonly string[]
  readonly errors: readonly ConfigError[]
}

/** What a reader of a configuration has to know of the program. */
export interface ReadConfigOptions {
  /** The data planes that there are; the first is the default. Default: iptables alone. */
  readonly modes?: readonly [string, ...string[]]
  /** Whether kube-proxy's other modes are read as well, with a warning, for questions about Services and endpoints alone. */
  readonly anyMode?: boolean
  /**
   * Fields that flags gave, as `iptables.minSyncPeriod`. kube-proxy has its defaults in place before it reads flags: a period of 0 is the default
   * in a file, and 0 as a flag, which is valid for `minSyncPeriod` alone.
   */
  readonly ofFlags?: ReadonlySet<string>
}

/**
 * Reads a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), parsed from YAML or JSON already, as far as it decides
 * about rules. Takes any value and never throws. What is valid, and the defaults, are kube-proxy 1.36's. `families` and
 * `layout` are not in such a document and keep their defaults. An agent reads the rest too: `readAgentConfig`.
 */
export function readProxyConfig(document: unknown, options: ReadConfigOptions = {}): ProxyConfigResult {
  const { root, warnings, errors } = openConfigDocument(document)
  const config = proxyConfigOf(root, warnings, options)
  return { config, warnings, errors: withoutRepetitions(errors) }
}

/** The fields that decide about rules, of a document that is open. Adds to its warnings; its errors are the fields'. */
export function proxyConfigOf(
  root: ConfigFields,
  warnings: string[],
  { modes = [DEFAULT_PROXY_CONFIG.mode], anyMode = false, ofFlags = NONE }: ReadConfigOptions,
): ProxyConfig {
  const mode = readMode(root, modes, anyMode)
  const isOther = !modes.includes(mode)
  const isNftables = mode === 'nftables'
  const ofMode = root.within(isNftables ? 'nftables' : 'iptables')
  if (isOther) warnings.push(otherModeWarning(mode))
  const nodeName = root.text('hostnameOverride')?.trim().toLowerCase()
  const nodeIp = readNodeIp(root)
  const readPeriod = (name: string, fallback: number): number => {
    const period = readDuration(ofMode, name)
    // Flags of periods are those of mode iptables, whichever mode it is.
    return period === undefined || (period === 0 && !ofFlags.has(`iptables.${name}`)) ? fallback : period
  }
  const config: ProxyConfig = {
    ...DEFAULT_PROXY_CONFIG,
    mode,
    ...(nodeName !== undefined && nodeName !== '' && { nodeName }),
    ...(nodeIp !== undefined && { nodeIp }),
    detectLocal: readDetectLocal(root, warnings),
    masqueradeAll: ofMode.flag('masqueradeAll') ?? DEFAULT_PROXY_CONFIG.masqueradeAll,
    masqueradeBit: readMasqueradeBit(ofMode),
    localhostNodePorts: readLocalhostNodePorts(root.within('iptables'), mode),
    nodePortAddresses: readNodePortAddresses(root, isNftables ? 'primary' : 'all'),
    tcpBeLiberal: root.within('conntrack').flag('tcpBeLiberal') ?? DEFAULT_PROXY_CONFIG.tcpBeLiberal,
    minSyncPeriodMs: readPeriod('minSyncPeriod', DEFAULT_PROXY_CONFIG.minSyncPeriodMs),
    syncPeriodMs: readPeriod('syncPeriod', DEFAULT_PROXY_CONFIG.syncPeriodMs),
  }
  if (config.syncPeriodMs === 0) ofMode.reject('syncPeriod', 'must be greater than 0')
  else if (config.minSyncPeriodMs > config.syncPeriodMs) {
    ofMode.reject('syncPeriod', `must not be less than ${isNftables ? 'nftables' : 'iptables'}.minSyncPeriod`)
  }
  return config
}

function readMode(root: ConfigFields, [first, ...others]: readonly [string, ...string[]], anyMode: boolean): string {
  const mode = root.text('mode')
  if (mode === undefined || mode === '' || mode === first) return first
  if (others.includes(mode) || (anyMode && OTHER_MODES.has(mode))) return mode
  const known = [first, ...others].join(' or ')
  // https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-ipvs: deprecated in 1.35.
  const instead = mode === 'ipvs' ? '; Kubernetes has deprecated ipvs for nftables, which kube-proxy has' : ''
  root.reject('mode', `${JSON.stringify(mode)} is not supported: set it to ${known} or leave it out${instead}`)
  return first
}

/** Of kube-proxy: https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-modes, and userspace until 1.25. */
const OTHER_MODES: ReadonlySet<string> = new Set(['iptables', 'ipvs', 'nftables', 'kernelspace', 'userspace'])

const otherModeWarning = (mode: string): string =>
  `mode is ${mode}: which endpoints there are and which are used is the same in every mode and is answered; rules of this mode are not looked at`

/** 0.0.0.0 and :: say nothing of the node: its IP is the Node's. */
function readNodeIp(root: ConfigFields): string | undefined {
  const text = root.text('bindAddress') ?? ''
  if (text === '') return undefined
  const address = parseAddress(text)
  if (address === undefined) root.reject('bindAddress', `${JSON.stringify(text)} is not an IP address`)
  return address === undefined || address.text === '0.0.0.0' || address.text === '::' ? undefined : address.text
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

/** kube-proxy's default is all addresses, and the primary ones in mode nftables. */
function readNodePortAddresses(root: ConfigFields, fallback: 'all' | 'primary'): ProxyConfig['nodePortAddresses'] {
  const entries = root.texts('nodePortAddresses') ?? []
  if (entries.length === 0) return fallback
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

/** The field is of mode iptables: no other has node ports on loopback. */
function readLocalhostNodePorts(iptables: ConfigFields, mode: string): boolean {
  const given = iptables.flag('localhostNodePorts') ?? DEFAULT_PROXY_CONFIG.localhostNodePorts
  return mode === 'iptables' && given
}

function readMasqueradeBit(iptables: ConfigFields): number {
  const bit = iptables.integer('masqueradeBit') ?? DEFAULT_PROXY_CONFIG.masqueradeBit
  if (bit >= 0 && bit <= 31) return bit
  iptables.reject('masqueradeBit', `must be a bit from 0 to 31, and is ${bit}`)
  return DEFAULT_PROXY_CONFIG.masqueradeBit
}

const NONE: ReadonlySet<string> = new Set()

/** A duration as Go writes it, in milliseconds; undefined where it is absent, or wrong, which the fields report. */
export function readDuration(fields: ConfigFields, name: string): number | undefined {
  const text = fields.text(name)
  if (text === undefined) return undefined
  const duration = parseGoDuration(text)
  if (duration === undefined) fields.reject(name, `${JSON.stringify(text)} is not a duration such as 30s or 1m0s`)
  else if (duration < 0) fields.reject(name, `must not be negative, and is ${text}`)
  return duration === undefined || duration < 0 ? undefined : duration
}

/** The longest name of a network interface (IFNAMSIZ of Linux, without the ending NUL), in bytes. */
const LONGEST_INTERFACE_NAME = 15

/**
 * Whether rules can name a network interface so: no blanks, quotes or control characters, nothing in front that begins
 * an option, and within `longest` bytes. Linux itself refuses blanks and longer names.
 */
export const isInterfaceName = (text: string, longest = LONGEST_INTERFACE_NAME): boolean =>
  /^[^-!"\s\p{Cc}][^"\s\p{Cc}]*$/u.test(text) && new TextEncoder().encode(text).length <= longest
