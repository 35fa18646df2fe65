import {
  CONFIG_KIND,
  type ConfigError,
  configOfRecord,
  DEFAULT_PROXY_CONFIG,
  isJsonObject,
  type Json,
  type JsonObject,
  type ProxyConfig,
  readProxyConfig,
} from '@pointsman/core'
import { FileError, readConfigDocument } from '@pointsman/core/io'
import type { Command } from 'commander'
import { type Context, modesOf, warn } from '../context.js'
import { CliError } from '../errors.js'
import { byteStream } from './open-input.js'

/** As commander parses `--config` and kube-proxy's own flags. */
export interface ConfigOptions {
  readonly config?: string
  readonly proxyMode?: string
  readonly clusterCidr?: string
  readonly detectLocalMode?: string
  readonly podBridgeInterface?: string
  readonly podInterfaceNamePrefix?: string
  readonly nodeportAddresses?: string
  readonly masqueradeAll?: true
  readonly iptablesMasqueradeBit?: string
  readonly iptablesLocalhostNodeports?: string
  readonly conntrackTcpBeLiberal?: true
  readonly iptablesSyncPeriod?: string
  readonly iptablesMinSyncPeriod?: string
}

/** Adds `--config` and the flags of kube-proxy that decide about packets and syncs, by kube-proxy's names. */
export function withConfigOptions(command: Command): Command {
  return command
    .option('--config <file>', 'a KubeProxyConfiguration, YAML or JSON; flags override it')
    .option('--proxy-mode <mode>', 'iptables (default) or nftables')
    .option('--cluster-cidr <cidrs>', "the CIDR of the cluster's pods, or two, one per family, comma-separated")
    .option('--detect-local-mode <mode>', 'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix')
    .option('--pod-bridge-interface <name>', 'the bridge interface of local pods')
    .option('--pod-interface-name-prefix <prefix>', 'the name prefix of the interfaces of local pods')
    .option('--nodeport-addresses <cidrs>', 'node addresses that accept node ports: comma-separated CIDRs, or primary')
    .option('--masquerade-all', 'masquerade all traffic to cluster IPs')
    .option('--iptables-masquerade-bit <bit>', 'the bit of the packet mark that requests masquerading')
    .option('--iptables-localhost-nodeports <bool>', 'true or false: allow node ports on 127.0.0.0/8')
    .option('--conntrack-tcp-be-liberal', 'do not drop packets in conntrack state INVALID')
    .option(
      '--iptables-sync-period <duration>',
      'maximum interval between retries, and the base of drift checks (default 30s)',
    )
    .option('--iptables-min-sync-period <duration>', 'minimum interval between syncs (default 1s)')
}

/** Whether the command line says something of the configuration, so that what the log carries does not count. */
export const givesConfig = (options: ConfigOptions): boolean =>
  options.config !== undefined || givenFlags({ ...options }).size > 0

export interface ModeOptions {
  /** Whether a configuration of a mode that has no rule system here will do: the question is about Services and endpoints. */
  readonly anyMode?: boolean
  /** The mode in place of the configuration's: what kube-proxy would have with the same file in that mode. */
  readonly as?: string | undefined
}

/**
 * The effective configuration: the file with the flags in place of its fields, else the one that the log carries, else
 * kube-proxy's defaults, which standard error then says. CliError or FileError for what is wrong in it.
 */
export async function resolveConfig(
  options: ConfigOptions,
  logged: JsonObject | undefined,
  context: Context,
  { anyMode = false, as }: ModeOptions = {},
): Promise<ProxyConfig> {
  const modes: readonly [string, ...string[]] = as === undefined ? modesOf(context) : [as]
  if (!givesConfig(options)) {
    if (logged !== undefined) return as === undefined ? configOfRecord(logged) : inMode(configOfRecord(logged), as)
    warn(
      context,
      "no configuration given: using kube-proxy's defaults with no cluster CIDR (set --config or --cluster-cidr)",
    )
    return as === undefined ? { ...DEFAULT_PROXY_CONFIG, mode: modes[0] } : inMode(DEFAULT_PROXY_CONFIG, as)
  }
  const given = new Map([
    ...givenFlags({ ...options } satisfies ParsedOptions),
    ...(as === undefined ? [] : [['mode', as] as const]),
  ])
  const file =
    options.config === undefined ? undefined : await readConfigDocument(options.config, byteStream(context.stdin))
  const { config, warnings, errors } = readProxyConfig(
    overlayFlags(file === undefined ? CONFIG_KIND : file.document, given),
    { modes, anyMode, ofFlags: new Set(given.keys()) },
  )
  const error = configurationError(errors, { given, file: file?.name })
  if (error !== undefined) throw error
  for (const warning of warnings) warn(context, file === undefined ? warning : `${file.name}: ${warning}`)
  return config
}

/**
 * A configuration in another mode. It does not tell what was set from what is a default: node ports on all addresses are
 * taken for the default of that mode, and everything else is taken over.
 */
export function inMode(config: ProxyConfig, mode: string): ProxyConfig {
  if (config.mode === mode) return config
  const { nodePortAddresses } = config
  return {
    ...config,
    mode,
    localhostNodePorts: mode === 'iptables' && (config.mode !== 'iptables' || config.localhostNodePorts),
    nodePortAddresses: mode === 'nftables' && nodePortAddresses === 'all' ? 'primary' : nodePortAddresses,
  }
}

/** A flag of kube-proxy 1.36 that says the same as a field of its configuration. */
export interface KubeProxyFlag {
  /** `--cluster-cidr`. */
  readonly flag: string
  readonly type: keyof typeof VALUE_READERS
  /** The field: `iptables.syncPeriod`. */
  readonly path: string
  readonly description: string
  /** Whether kube-proxy uses it beside --config, too. */
  readonly besideConfig?: true
}

const flag = (
  name: string,
  type: KubeProxyFlag['type'],
  path: string,
  description: string,
  more: Pick<KubeProxyFlag, 'besideConfig'> = {},
): KubeProxyFlag => ({ flag: `--${name}`, type, path, description, ...more })

const NO_EFFECT = 'ignored'
const LOGGING = { besideConfig: true } as const

/** In the order of kube-proxy's own help. */
export const KUBE_PROXY_FLAGS: readonly KubeProxyFlag[] = [
  flag('bind-address', 'text', 'bindAddress', "overrides the node IP of the Node object (0.0.0.0: use the Node's)"),
  flag('bind-address-hard-fail', 'flag', 'bindAddressHardFail', 'exit if a server cannot listen on its port'),
  flag(
    'cluster-cidr',
    'text',
    'clusterCIDR',
    "the CIDR of the cluster's pods, or two, one per family, comma-separated",
  ),
  flag('config-sync-period', 'duration', 'configSyncPeriod', NO_EFFECT),
  flag(
    'conntrack-max-per-core',
    'integer',
    'conntrack.maxPerCore',
    'maximum number of tracked connections per CPU (default 32768; 0 = unchanged)',
  ),
  flag('conntrack-min', 'integer', 'conntrack.min', 'minimum limit of tracked connections (default 131072)'),
  flag('conntrack-tcp-be-liberal', 'flag', 'conntrack.tcpBeLiberal', 'do not drop packets in conntrack state INVALID'),
  flag(
    'conntrack-tcp-timeout-close-wait',
    'duration',
    'conntrack.tcpCloseWaitTimeout',
    'timeout for TCP in CLOSE_WAIT (default 1h; 0 = unchanged)',
  ),
  flag(
    'conntrack-tcp-timeout-established',
    'duration',
    'conntrack.tcpEstablishedTimeout',
    'timeout for idle TCP connections (default 24h; 0 = unchanged)',
  ),
  flag('conntrack-udp-timeout', 'duration', 'conntrack.udpTimeout', 'timeout for UDP without replies (0 = unchanged)'),
  flag(
    'conntrack-udp-timeout-stream',
    'duration',
    'conntrack.udpStreamTimeout',
    'timeout for UDP with replies (0 = unchanged)',
  ),
  flag('detect-local-mode', 'text', 'detectLocalMode', 'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix'),
  flag('feature-gates', 'gates', 'featureGates', `NAME=true,...: ${NO_EFFECT}`),
  flag(
    'healthz-bind-address',
    'text',
    'healthzBindAddress',
    'address of /healthz (default 0.0.0.0:10256; empty = disabled)',
  ),
  flag('hostname-override', 'text', 'hostnameOverride', 'the name of the Node (default: the host name)', LOGGING),
  flag(
    'iptables-localhost-nodeports',
    'flag',
    'iptables.localhostNodePorts',
    'allow node ports on 127.0.0.0/8 (default true)',
  ),
  flag(
    'iptables-masquerade-bit',
    'integer',
    'iptables.masqueradeBit',
    'the bit of the packet mark that requests masquerading (default 14)',
  ),
  flag('iptables-min-sync-period', 'duration', 'iptables.minSyncPeriod', 'minimum interval between syncs (default 1s)'),
  flag(
    'iptables-sync-period',
    'duration',
    'iptables.syncPeriod',
    'maximum interval between retries, and the base of drift checks (default 30s)',
  ),
  flag('ipvs-exclude-cidrs', 'list', 'ipvs.excludeCIDRs', NO_EFFECT),
  flag('ipvs-min-sync-period', 'duration', 'ipvs.minSyncPeriod', NO_EFFECT),
  flag('ipvs-scheduler', 'text', 'ipvs.scheduler', NO_EFFECT),
  flag('ipvs-strict-arp', 'flag', 'ipvs.strictARP', NO_EFFECT),
  flag('ipvs-sync-period', 'duration', 'ipvs.syncPeriod', NO_EFFECT),
  flag('ipvs-tcp-timeout', 'duration', 'ipvs.tcpTimeout', NO_EFFECT),
  flag('ipvs-tcpfin-timeout', 'duration', 'ipvs.tcpFinTimeout', NO_EFFECT),
  flag('ipvs-udp-timeout', 'duration', 'ipvs.udpTimeout', NO_EFFECT),
  flag('kube-api-burst', 'integer', 'clientConnection.burst', 'burst of requests to the API server (default 10)'),
  flag('kube-api-content-type', 'text', 'clientConnection.contentType', NO_EFFECT),
  flag('kube-api-qps', 'number', 'clientConnection.qps', 'requests per second to the API server (default 5)'),
  flag(
    'kubeconfig',
    'text',
    'clientConnection.kubeconfig',
    'the kubeconfig (default: the service account of this pod)',
  ),
  flag('log-flush-frequency', 'duration', 'logging.flushFrequency', NO_EFFECT, LOGGING),
  flag('log-json-info-buffer-size', 'text', 'logging.options.json.infoBufferSize', NO_EFFECT, LOGGING),
  flag('log-json-split-stream', 'flag', 'logging.options.json.splitStream', NO_EFFECT, LOGGING),
  flag('log-text-info-buffer-size', 'text', 'logging.options.text.infoBufferSize', NO_EFFECT, LOGGING),
  flag('log-text-split-stream', 'flag', 'logging.options.text.splitStream', NO_EFFECT, LOGGING),
  flag('logging-format', 'text', 'logging.format', 'text or json', LOGGING),
  flag('masquerade-all', 'flag', 'iptables.masqueradeAll', 'masquerade all traffic to cluster IPs'),
  flag(
    'metrics-bind-address',
    'text',
    'metricsBindAddress',
    'address of /metrics (default 127.0.0.1:10249; empty = disabled)',
  ),
  flag(
    'nodeport-addresses',
    'list',
    'nodePortAddresses',
    'node addresses that accept node ports: comma-separated CIDRs, or primary',
  ),
  flag(
    'oom-score-adj',
    'integer',
    'oomScoreAdj',
    'OOM score adjustment, from -1000 (killed last) to 1000 (default -999)',
  ),
  flag('pod-bridge-interface', 'text', 'detectLocal.bridgeInterface', 'the bridge interface of local pods'),
  flag(
    'pod-interface-name-prefix',
    'text',
    'detectLocal.interfaceNamePrefix',
    'the name prefix of the interfaces of local pods',
  ),
  flag(
    'profiling',
    'flag',
    'enableProfiling',
    'allow changing log verbosity via PUT /debug/flags/v, and profiles at /debug/pprof/',
  ),
  flag('proxy-mode', 'text', 'mode', 'iptables (default) or nftables'),
  flag('show-hidden-metrics-for-version', 'text', 'showHiddenMetricsForVersion', NO_EFFECT),
  flag('v', 'integer', 'logging.verbosity', 'log verbosity', LOGGING),
  flag('vmodule', 'vmodule', 'logging.vmodule', NO_EFFECT, LOGGING),
]

/** Options as commander parses them: by the flag's name in camel case. */
export type ParsedOptions = Readonly<Record<string, unknown>>

/** The flags that the command line gives, by the field that each says, with its value. CliError USAGE for gates without one. */
export function givenFlags(options: ParsedOptions): ReadonlyMap<string, Json> {
  const given = new Map<string, Json>()
  for (const { flag, type, path } of KUBE_PROXY_FLAGS) {
    const value = options[optionKey(flag)]
    // commander gives true for a boolean without a value.
    if (value === true) given.set(path, true)
    else if (typeof value === 'string') given.set(path, VALUE_READERS[type](value, flag))
  }
  // kube-proxy takes an empty name for none.
  if (given.get('hostnameOverride') === '') given.delete('hostnameOverride')
  return given
}

/** `nodeportAddresses` for `--nodeport-addresses`. */
const optionKey = (flag: string): string =>
  flag.replace(/^--/, '').replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

// What is of no such type is left a text: the reader of configurations names it.
const VALUE_READERS = {
  text: (text: string): Json => text,
  duration: (text: string): Json => text,
  flag: (text: string): Json => (TRUE.has(text) ? true : FALSE.has(text) ? false : text),
  integer: (text: string): Json => (/^[+-]?\d+$/.test(text) ? Number(text) : text),
  number: (text: string): Json => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text),
  list: (text: string): Json => (text === '' ? [] : text.split(',')),
  gates: (text: string, flag: string): Json =>
    Object.fromEntries(pairsIn(text, flag).map(([name, value]) => [name, VALUE_READERS.flag(value)])),
  vmodule: (text: string, flag: string): Json =>
    pairsIn(text, flag).map(([filePattern, value]) => ({ filePattern, verbosity: VALUE_READERS.integer(value) })),
}

/** As Go's strconv.ParseBool. */
const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const FALSE: ReadonlySet<string> = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])

function pairsIn(text: string, flag: string): readonly (readonly [name: string, value: string])[] {
  return text
    .split(',')
    .filter((pair) => pair.trim() !== '')
    .map((pair) => {
      const [name = '', value] = pair.split('=')
      if (value !== undefined) return [name.trim(), value.trim()] as const
      throw new CliError('USAGE', `${flag} ${JSON.stringify(pair)} has no value: give comma-separated NAME=VALUE pairs`)
    })
}

/**
 * A configuration with what flags say in place of its own fields, so that one reader judges both. What is no mapping is
 * left as it is, for that reader to refuse.
 */
export function overlayFlags(document: unknown, given: ReadonlyMap<string, Json>): unknown {
  const mode = given.get('mode') ?? (isJsonObject(document) ? document['mode'] : undefined)
  return [...given].reduce((whole, [path, value]) => {
    const field = mode === 'nftables' ? (IN_NFTABLES.get(path) ?? path) : path
    return withField(whole, field.split('.'), value)
  }, document)
}

/** Flags that kube-proxy uses in mode nftables as well, where they say the same as fields of that mode's section. */
const IN_NFTABLES: ReadonlyMap<string, string> = new Map(
  ['masqueradeAll', 'minSyncPeriod', 'syncPeriod'].map((name) => [`iptables.${name}`, `nftables.${name}`]),
)

function withField(mapping: unknown, [name = '', ...rest]: readonly string[], value: Json): unknown {
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) return mapping
  const fields = mapping as JsonObject
  return { ...fields, [name]: rest.length === 0 ? value : withField(fields[name] ?? {}, rest, value) }
}

/**
 * The first of the errors, as the error of its source: CliError USAGE by the flag's name, else FileError NOT_CONFIG.
 * Undefined without errors.
 */
export function configurationError(
  errors: readonly ConfigError[],
  { given, file }: { readonly given: ReadonlyMap<string, Json>; readonly file: string | undefined },
): Error | undefined {
  const [first, ...others] = errors
  if (first === undefined) return undefined
  const withFlags = (text: string): string =>
    [...FLAG_OF_PATH].reduce(
      (said, [path, flag]) =>
        given.has(path) ? said.replaceAll(path, flag).replaceAll(IN_NFTABLES.get(path) ?? path, flag) : said,
      text,
    )
  const named = first.path.replace(/\[\d+\]$/, '')
  const field = [...IN_NFTABLES].find(([path, inNftables]) => inNftables === named && given.has(path))?.[0] ?? named
  const ofFlag = [...given.keys()].find((path) => path === field || field.startsWith(`${path}.`))
  if (ofFlag !== undefined) {
    const within = field.slice(ofFlag.length + 1)
    const words = [FLAG_OF_PATH.get(ofFlag) ?? ofFlag, ...(within === '' ? [] : [within]), withFlags(first.message)]
    return new CliError('USAGE', words.join(' '))
  }
  const message = `${first.path === '' ? '' : `${first.path} `}${withFlags(first.message)}`
  if (file === undefined) return new CliError('USAGE', message)
  return new FileError('NOT_CONFIG', file, `${message}${others.length === 0 ? '' : `, and ${others.length} more`}`)
}

const FLAG_OF_PATH: ReadonlyMap<string, string> = new Map(KUBE_PROXY_FLAGS.map(({ path, flag }) => [path, flag]))
