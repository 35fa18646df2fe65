import { DEFAULT_PROXY_CONFIG, readProxyConfig } from '@pointsman/core'
import type { JsonObject, ProxyConfig } from '@pointsman/core'
import { readConfigFile } from '@pointsman/core/io'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { byteStream } from './open-input.js'

/** As commander parses `--config` and kube-proxy's own flags. */
export interface ConfigOptions {
  readonly config?: string
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
    .option('--config <file>', 'a KubeProxyConfiguration, YAML or JSON; flags win over it')
    .option('--cluster-cidr <cidrs>', 'the CIDR of pods, or one of each family with a comma between')
    .option('--detect-local-mode <mode>', 'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix')
    .option('--pod-bridge-interface <name>', 'the bridge of local pods')
    .option('--pod-interface-name-prefix <prefix>', 'how the interfaces of local pods begin')
    .option('--nodeport-addresses <cidrs>', 'where node ports answer: CIDRs with commas between, or primary')
    .option('--masquerade-all', 'masquerade everything that is sent to a cluster IP')
    .option('--iptables-masquerade-bit <bit>', 'the bit of the packet mark that asks for masquerading')
    .option('--iptables-localhost-nodeports <bool>', 'true or false: node ports on 127.0.0.0/8')
    .option('--conntrack-tcp-be-liberal', 'do not drop packets of state INVALID')
    .option('--iptables-sync-period <duration>', 'between retries, at most (30s)')
    .option('--iptables-min-sync-period <duration>', 'between syncs, at least (1s)')
}

/** Whether the command line says something of the configuration, so that what the log carries does not count. */
export const givesConfig = (options: ConfigOptions): boolean =>
  options.config !== undefined || documentOfFlags(options).given.size > 0

/**
 * The effective configuration: the file and the flags, else the one that the log carries, else kube-proxy's defaults, which
 * standard error then says. CliError or FileError for what is wrong in it.
 */
export async function resolveConfig(
  options: ConfigOptions,
  logged: JsonObject | undefined,
  context: Context,
): Promise<ProxyConfig> {
  const flags = documentOfFlags(options)
  const base =
    options.config === undefined ? undefined : await readConfigFile(options.config, byteStream(context.stdin))
  for (const warning of base?.warnings ?? []) warn(context, warning)
  if (base === undefined && flags.given.size === 0) {
    // What the log carries was written from a ProxyConfig.
    if (logged !== undefined) return { ...DEFAULT_PROXY_CONFIG, ...(logged as Partial<ProxyConfig>) }
    warn(
      context,
      "no configuration was given, so that kube-proxy's defaults are used, without a cluster CIDR: --config or --cluster-cidr says otherwise",
    )
    return DEFAULT_PROXY_CONFIG
  }
  const { config, errors } = readProxyConfig(flags.document)
  const [first] = errors
  if (first !== undefined) throw new CliError('USAGE', `${FLAG_OF_PATH.get(first.path) ?? first.path} ${first.message}`)
  const fromFlags = pickGiven(config, flags.given)
  const merged = { ...(base?.config ?? DEFAULT_PROXY_CONFIG), ...fromFlags }
  if (merged.minSyncPeriodMs > merged.syncPeriodMs) {
    throw new CliError('USAGE', '--iptables-sync-period must not be less than --iptables-min-sync-period')
  }
  return merged
}

type ConfigKey = keyof ProxyConfig

interface FlagDocument {
  /** A KubeProxyConfiguration of the flags alone, so that one reader judges both. */
  readonly document: JsonObject
  readonly given: ReadonlySet<ConfigKey>
}

function documentOfFlags(options: ConfigOptions): FlagDocument {
  const given = new Set<ConfigKey>()
  const value = <Value>(key: ConfigKey, found: Value | undefined): Value | undefined => {
    if (found !== undefined) given.add(key)
    return found
  }
  const document = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clusterCIDR: value('detectLocal', options.clusterCidr),
    detectLocalMode: value('detectLocal', options.detectLocalMode),
    detectLocal: {
      bridgeInterface: value('detectLocal', options.podBridgeInterface),
      interfaceNamePrefix: value('detectLocal', options.podInterfaceNamePrefix),
    },
    nodePortAddresses: value('nodePortAddresses', options.nodeportAddresses)?.split(','),
    conntrack: { tcpBeLiberal: value('tcpBeLiberal', options.conntrackTcpBeLiberal) },
    iptables: {
      masqueradeAll: value('masqueradeAll', options.masqueradeAll),
      masqueradeBit: value('masqueradeBit', numberOf(options.iptablesMasqueradeBit)),
      localhostNodePorts: value('localhostNodePorts', flagOf(options.iptablesLocalhostNodeports)),
      syncPeriod: value('syncPeriodMs', options.iptablesSyncPeriod),
      minSyncPeriod: value('minSyncPeriodMs', options.iptablesMinSyncPeriod),
    },
  }
  return { document: withoutUndefined(document), given }
}

const FLAG_OF_PATH: ReadonlyMap<string, string> = new Map([
  ['clusterCIDR', '--cluster-cidr'],
  ['detectLocalMode', '--detect-local-mode'],
  ['detectLocal.bridgeInterface', '--pod-bridge-interface'],
  ['detectLocal.interfaceNamePrefix', '--pod-interface-name-prefix'],
  ['nodePortAddresses', '--nodeport-addresses'],
  ['nodePortAddresses[0]', '--nodeport-addresses'],
  ['iptables.masqueradeBit', '--iptables-masquerade-bit'],
  ['iptables.localhostNodePorts', '--iptables-localhost-nodeports'],
  ['iptables.syncPeriod', '--iptables-sync-period'],
  ['iptables.minSyncPeriod', '--iptables-min-sync-period'],
])

// What is no number or no boolean is left as it is: the reader of configurations names it.
const numberOf = (text: string | undefined): number | string | undefined =>
  text !== undefined && /^-?\d+$/.test(text) ? Number(text) : text
const flagOf = (text: string | undefined): boolean | string | undefined =>
  text === 'true' ? true : text === 'false' ? false : text

const withoutUndefined = (document: object): JsonObject => JSON.parse(JSON.stringify(document)) as JsonObject

function pickGiven(config: ProxyConfig, given: ReadonlySet<ConfigKey>): Partial<ProxyConfig> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => given.has(key as ConfigKey)))
}
