import type { State } from '@pointsman/core'
import { type Command, Option } from 'commander'
import { type Context, dataplaneOf, warn } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  describeAsked,
  type InputOptions,
  type PointOptions,
  readSave,
  withInput,
  withInputOptions,
  withPointOptions,
} from '../../input/open-input.js'
import { givesConfig, resolveConfig, withConfigOptions } from '../../input/proxy-config.js'
import { interfaceAddressesOf, rulesQuestion, type RulesQuestionOptions } from '../../input/rules-question.js'
import { warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, pointOf, writeDocument } from '../../output/json.js'
import { SILENT } from '../../output/terminal.js'
import { compareModes, type Comparison } from './compare-modes.js'
import { migrationDocument } from './json.js'
import { migrationNotes, type Note } from './notes.js'
import { type OtherRule, otherRule } from './other-rules.js'
import { migrationText } from './text.js'

interface MigrateOptions extends InputOptions, PointOptions, Omit<RulesQuestionOptions, 'layout' | 'family'> {
  readonly from: string
  readonly to: string
  readonly toConfig?: string
  readonly rules?: string
  readonly output?: string
}

/** What moving a node from one mode of kube-proxy to another changes. */
export interface Migration {
  readonly from: string
  readonly to: string
  readonly node: string | undefined
  readonly comparison: Comparison
  readonly notes: readonly Note[]
  /** Undefined: no rules were given. */
  readonly otherRules: readonly OtherRule[] | undefined
}

const FORMATS = ['text', 'json'] as const

export function registerMigrate(program: Command, context: Context): void {
  const command = program
    .command('migrate')
    .summary('show what changes for packets when a node moves to another proxy mode')
    .description(
      'Compares where packets go in two modes of kube-proxy, for the same objects: each address of each Service, unused ports and unallocated ' +
        'addresses, from pods, from the node and from outside. Shows each kind of packet whose verdict, endpoints or source address changes, and ' +
        'why. With --rules, also shows rules of other programs on the node that depend on those of the old mode. Exits with 1 if something changes.',
    )
    .addOption(new Option('--from <mode>', 'the mode that the node leaves').choices(MODES).default('iptables'))
    .addOption(new Option('--to <mode>', 'the new mode').choices(MODES).default('nftables'))
    .option('--to-config <file>', 'the KubeProxyConfiguration of the new mode (default: the same as of the old one)')
    .option(
      '--rules <file>',
      "iptables-save output of the node: shows other programs' rules that depend on the proxy's",
    )
    .option('--node <name>', 'the node that handles the packets (default: the configured node, else the only Node)')
    .option(
      '--node-address <address>',
      "an address of the node's interfaces (repeatable; default: those of the Node object and loopback)",
      (address: string, addresses: readonly string[] | undefined) => [...(addresses ?? []), address],
    )
    .addOption(outputOption(FORMATS))
    .action(async (options: MigrateOptions) => migrate(options, context))
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    'kubectl get services,endpointslices,nodes,servicecidrs -A -o json | pointsman migrate --objects - --node node-a --config kube-proxy.yaml',
    'pointsman migrate --from iptables --to nftables --log shop.db --rules iptables-save.txt',
    'pointsman migrate --from ipvs --objects cluster.json -o json | jq \'.items[] | select(.changes == ["verdict"])\'',
  ])
}

const MODES = ['iptables', 'ipvs', 'nftables']

async function migrate(options: MigrateOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  checkOptions(options)
  const { from, to } = options
  await withInput(options, context, async (input) => {
    const asked = askedObjects(input, options, context)
    const { state, config, diagnostics } = await rulesQuestion(asked, options, context, { as: from })
    warnOfDiagnostics(diagnostics, '`pointsman services --wide` lists them', context)
    if (config.layout === 'classic')
      warn(
        context,
        'packets are compared as in kube-proxy 1.36, and the log says layout classic, which is that of 1.20',
      )
    const target = options.toConfig === undefined ? options : { config: options.toConfig }
    // What is wrong in a file that both modes read was said before.
    const quiet = options.toConfig === undefined ? { ...context, stderr: SILENT } : context
    const { nodeName } = config
    const after = {
      ...(await resolveConfig(target, options.toConfig === undefined ? asked.logged : undefined, quiet, { as: to })),
      ...(nodeName !== undefined && { nodeName }),
    }
    const interfaceAddresses = interfaceAddressesOf(options) ?? []
    const comparison = compareModes({ inForce: state, from: config, to: after, interfaceAddresses })
    const isLogged = !givesConfig(options) && asked.logged !== undefined
    const migration: Migration = {
      from,
      to,
      node: state.node?.name,
      comparison,
      notes: migrationNotes({ from: config, to: after, state, comparison, isLogged }),
      otherRules: await otherRulesIn(options.rules, { config, after, state }, context),
    }
    if (comparison.differences.length > 0 || (migration.otherRules ?? []).length > 0) context.finish(1)
    if (format === 'json') return writeDocument(context, migrationDocument(migration, pointOf(asked)))
    context.stdout.print(migrationText(migration, describeAsked(asked), context.style))
  })
}

function checkOptions({ from, to, config, toConfig, rules, objects }: MigrateOptions): void {
  if (from === to) throw new CliError('USAGE', `--from and --to are both ${from}: give two modes`)
  if (config === '-' || toConfig === '-')
    throw new CliError('USAGE', 'each mode reads the configuration anew: give --config and --to-config a file')
  if (rules === '-' && objects?.includes('-') === true)
    throw new CliError('USAGE', '--rules and --objects cannot both be read from standard input')
}

interface Configs {
  readonly config: Parameters<typeof otherRule>[1]
  readonly after: Parameters<typeof otherRule>[1]
  readonly state: Pick<State, 'services'>
}

/** Rules are of iptables, whichever mode is left: that of ipvs has some there as well. */
async function otherRulesIn(
  path: string | undefined,
  { config, after, state }: Configs,
  context: Context,
): Promise<readonly OtherRule[] | undefined> {
  if (path === undefined) return undefined
  const dataplane = dataplaneOf(context, { mode: 'iptables' })
  const { rules } = await readSave({ path, dataplanes: [dataplane] }, context)
  const found = dataplane.dependents?.(rules, config) ?? []
  // What is taken in for Services are health checks of load balancers alone.
  const hasHealthChecks = [...state.services.values()].some(({ healthCheckNodePort }) => healthCheckNodePort !== 0)
  return found
    .filter(({ on, chain }) => on !== 'policy' || chain !== 'INPUT' || hasHealthChecks)
    .map((rule) => otherRule(rule, after, config.masqueradeBit))
}
