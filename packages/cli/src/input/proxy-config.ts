import {
  configOfRecord,
  CONFIG_KIND,
  DEFAULT_PROXY_CONFIG,
  readProxyConfig,
  type JsonObject,
  type ProxyConfig,
} from '@pointsman/core'
import { readConfigDocument } from '@pointsman/core/io'
import type { Command } from 'commander'
import { type Context, modesOf, warn } from '../context.js'
import { givenFlags, type ParsedOptions } from './kube-proxy-flags.js'
import { byteStream } from './open-input.js'
import { configurationError, overlayFlags } from './overlay-flags.js'

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
    .option('--config <file>', 'a KubeProxyConfiguration, YAML or JSON; flags override it')
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

/**
 * The effective configuration: the file with the flags in place of its fields, else the one that the log carries, else
 * kube-proxy's defaults, which standard error then says. CliError or FileError for what is wrong in it.
 */
export async function resolveConfig(
  options: ConfigOptions,
  logged: JsonObject | undefined,
  context: Context,
): Promise<ProxyConfig> {
  const modes = modesOf(context)
  if (!givesConfig(options)) {
    if (logged !== undefined) return configOfRecord(logged)
    warn(
      context,
      "no configuration given: using kube-proxy's defaults with no cluster CIDR (set --config or --cluster-cidr)",
    )
    return { ...DEFAULT_PROXY_CONFIG, mode: modes[0] }
  }
  const given = givenFlags({ ...options } satisfies ParsedOptions)
  const file =
    options.config === undefined ? undefined : await readConfigDocument(options.config, byteStream(context.stdin))
  const { config, warnings, errors } = readProxyConfig(
    overlayFlags(file === undefined ? CONFIG_KIND : file.document, given),
    { modes },
  )
  const error = configurationError(errors, { given, file: file?.name })
  if (error !== undefined) throw error
  for (const warning of warnings) warn(context, file === undefined ? warning : `${file.name}: ${warning}`)
  return config
}
