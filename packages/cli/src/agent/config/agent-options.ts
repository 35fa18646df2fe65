import { type Command, Option } from 'commander'
import { KUBE_PROXY_FLAGS, type KubeProxyFlag, type ParsedOptions } from '../../input/kube-proxy-flags.js'
import { ON_THIS_MACHINE, type RulesetCommandOptions, withRulesetOptions } from '../../input/ruleset-options.js'
import { type VariantOptions, withVariantOption } from '../../machine/iptables-option.js'
import { OWN_DEFAULTS } from './run-settings.js'

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
  readonly logMaxAge: string
  readonly logMaxSize: string
  readonly maxLogAgeAtStart: string
}

export type GoFlag = true | string

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
    .option('--observe [bool]', 'write no rules, only watch, record and compare (not built yet)')
    .option('--nfacct [bool]', "add kube-proxy's nfacct packet counters (default: if nfacct(8) works)")
  withVariantOption(command, 'auto: the variant this node uses')
  return withRulesetOptions(command, ON_THIS_MACHINE)
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
