import { type Layout, parseGoDuration } from '@pointsman/core'
import { type Command, Option } from 'commander'
import { CliError } from '../../errors.js'
import { KUBE_PROXY_FLAGS, type KubeProxyFlag, type ParsedOptions } from '../../input/proxy-config.js'
import {
  type FamilyChoice,
  interfaceAddressesOf,
  ON_THIS_MACHINE,
  type RulesetCommandOptions,
  type VariantOptions,
  withRulesetOptions,
  withVariantOption,
} from '../../input/rules-question.js'

/** As commander parses what `withAgentOptions` adds. Booleans of Go are true, or the text behind their `=`. */
export interface AgentOptions extends ParsedOptions, Omit<RulesetCommandOptions, 'family'>, VariantOptions {
  readonly family?: NonNullable<RulesetCommandOptions['family']>
  readonly config?: string
  readonly writeConfigTo?: string
  readonly cleanup?: GoFlag
  readonly initOnly?: GoFlag
  readonly master?: string
  readonly healthzPort?: string
  readonly metricsPort?: string
  readonly version?: GoFlag
  readonly log?: string
  readonly observe?: GoFlag
  readonly nfacct?: GoFlag
  readonly holdNodePorts?: GoFlag
  readonly events?: GoFlag
  readonly logMaxAge: string
  readonly logMaxSize: string
  readonly maxLogAgeAtStart: string
  readonly relistPeriod: string
}

type GoFlag = true | string

/**
 * Adds kube-proxy's flags, by its names and in Go's ways of writing them, and ours. A value may follow `=` or be the next
 * word; a boolean may go without; of a flag that is given twice the last counts, lists and maps add up.
 */
export function withAgentOptions(command: Command): Command {
  command
    .option('--config <file>', 'a KubeProxyConfiguration, YAML or JSON; flags override it')
    .option('--write-config-to <file>', 'write the effective configuration to this file, and exit')
    .option('--cleanup [bool]', "remove the proxy's rules, and exit")
    .option(
      '--init-only [bool]',
      'set up everything that requires root, and exit; the agent then needs only CAP_NET_ADMIN',
    )
    .option('--master <url>', 'the URL of the API server; overrides the kubeconfig')
    .option('--version [bool]', 'print the version, and exit')
  for (const flag of KUBE_PROXY_FLAGS) command.addOption(optionOf(flag))
  command
    .addOption(new Option('--healthz-port <port>', '0 = disabled (deprecated: use --healthz-bind-address)'))
    .addOption(new Option('--metrics-port <port>', '0 = disabled (deprecated: use --metrics-bind-address)'))
    .option('--log <file>', `the change log (default: POINTSMAN_LOG, else ${OWN_DEFAULTS.log})`)
    .option(
      '--log-max-age <duration>',
      'maximum age of records; older ones are pruned (0 = no limit)',
      OWN_DEFAULTS.logMaxAge,
    )
    .option(
      '--log-max-size <bytes>',
      'maximum size of the log, such as 512Mi; the oldest records are pruned (0 = no limit)',
      OWN_DEFAULTS.logMaxSize,
    )
    .option(
      '--max-log-age-at-start <duration>',
      'maximum age of the logged state to program before the API server is reachable (0 = no limit)',
      OWN_DEFAULTS.maxLogAgeAtStart,
    )
    .option(
      '--relist-period <duration>',
      'list everything again about this often, to find changes that no watch reported (0 = never)',
      OWN_DEFAULTS.relistPeriod,
    )
    .option('--observe [bool]', 'write no rules: record, and compare the rules that the service proxy writes')
    .option('--nfacct [bool]', "add kube-proxy's nfacct packet counters (default: if nfacct(8) works)")
    .option('--events [bool]', 'post Kubernetes Events about this node (default: true)')
    .option(
      '--hold-node-ports [bool]',
      'hold node ports, and external IPs of this machine, open, so that no other process takes them (default: with --layout classic, as kube-proxy 1.20)',
    )
  withVariantOption(command, 'auto: the variant this node uses')
  return withRulesetOptions(command, {
    ...ON_THIS_MACHINE,
    layout: "the mode's first; the layout in the log does not count",
  })
}

function optionOf({ flag, type, description }: KubeProxyFlag): Option {
  // kube-proxy's only short flag; klog is mostly told with two dashes.
  if (flag === '--v') return new Option('-v, --v <level>', description).argParser((text) => text.replace(/^=/, ''))
  const option = new Option(`${flag} ${type === 'flag' ? '[bool]' : `<${ARGUMENTS[type]}>`}`, description)
  return ADDING_UP.has(type)
    ? option.argParser((text: string, before: string | undefined) =>
        before === undefined ? text : `${before},${text}`,
      )
    : option
}

const ARGUMENTS: Readonly<Record<Exclude<KubeProxyFlag['type'], 'flag'>, string>> = {
  text: 'text',
  duration: 'duration',
  integer: 'number',
  number: 'number',
  list: 'list',
  gates: 'gates',
  vmodule: 'pattern=number',
}

const ADDING_UP: ReadonlySet<KubeProxyFlag['type']> = new Set<KubeProxyFlag['type']>(['list', 'gates', 'vmodule'])

/** What is ours, and in no KubeProxyConfiguration: that one has to stay valid for kube-proxy. */
export interface RunSettings extends VariantOptions {
  /** The change log's file. */
  readonly log: string
  /** Retention; absent: none. */
  readonly logMaxAgeMs?: number
  readonly logMaxBytes?: number
  /** Without the API server, a state older than this is not programmed. Absent: any is. */
  readonly maxLogAgeAtStartMs?: number
  /** Everything is listed again about so often; Infinity: never. */
  readonly relistMs: number
  /** No rules are written. */
  readonly observe: boolean
  /** Absent: where nfacct(8) works. */
  readonly nfacct?: boolean
  /** Node ports are held open. */
  readonly holdNodePorts: boolean
  /** Kubernetes Events are posted. */
  readonly events: boolean
  /** Absent: the families of the node's addresses. */
  readonly family?: FamilyChoice
  /** Absent: the mode's default. */
  readonly layout?: Layout
  /** Of the node's interfaces. Absent: they are looked at. */
  readonly interfaceAddresses?: readonly string[]
}

const OWN_DEFAULTS = {
  log: '/var/lib/pointsman/log.db',
  logMaxAge: '168h',
  logMaxSize: '512Mi',
  maxLogAgeAtStart: '0',
  relistPeriod: '1h',
} as const

/** CliError USAGE names the flag that is wrong. */
export function readRunSettings(options: AgentOptions, env: Readonly<Record<string, string | undefined>>): RunSettings {
  const logMaxAgeMs = readAge('--log-max-age', options.logMaxAge)
  const logMaxBytes = readSize('--log-max-size', options.logMaxSize)
  const maxLogAgeAtStartMs = readAge('--max-log-age-at-start', options.maxLogAgeAtStart)
  const relistMs = readAge('--relist-period', options.relistPeriod)
  const nfacct = readGoFlag('--nfacct', options.nfacct)
  const interfaceAddresses = interfaceAddressesOf(options)
  const { layout } = options
  return {
    log: options.log ?? (env['POINTSMAN_LOG'] || OWN_DEFAULTS.log),
    ...(logMaxAgeMs > 0 && { logMaxAgeMs }),
    ...(logMaxBytes > 0 && { logMaxBytes }),
    ...(maxLogAgeAtStartMs > 0 && { maxLogAgeAtStartMs }),
    relistMs: relistMs > 0 ? relistMs : Number.POSITIVE_INFINITY,
    observe: readGoFlag('--observe', options.observe) ?? false,
    ...(nfacct !== undefined && { nfacct }),
    ...(options.family !== undefined && { family: options.family }),
    ...(layout !== undefined && { layout }),
    holdNodePorts: readGoFlag('--hold-node-ports', options.holdNodePorts) ?? layout === 'classic',
    events: readGoFlag('--events', options.events) ?? true,
    iptablesVariant: options.iptablesVariant,
    ...(interfaceAddresses !== undefined && { interfaceAddresses }),
  }
}

/** Undefined where it is not given. */
export function readGoFlag(flag: string, value: GoFlag | undefined): boolean | undefined {
  if (value === undefined || value === true) return value
  if (/^(?:1|t|true)$/i.test(value)) return true
  if (/^(?:0|f|false)$/i.test(value)) return false
  throw new CliError('USAGE', `${flag} must be true or false, and is ${JSON.stringify(value)}`)
}

/** Milliseconds; 0: no limit. */
export function readAge(flag: string, text: string): number {
  const age = parseGoDuration(text)
  if (age !== undefined && age >= 0) return age
  throw new CliError('USAGE', `${flag} ${JSON.stringify(text)} is not a duration such as 168h or 30m`)
}

/** Bytes; 0: no limit. */
export function readSize(flag: string, text: string): number {
  const [, digits, unit = ''] = /^(\d+)([KMG]i)?$/.exec(text) ?? []
  if (digits !== undefined) return Number(digits) * (BYTES[unit] ?? 1)
  throw new CliError('USAGE', `${flag} ${JSON.stringify(text)} is not a size such as 512Mi, 2Gi or a number of bytes`)
}

const BYTES: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }
