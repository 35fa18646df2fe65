import type { Dataplane, FamilyRules, IpFamily, PlanOptions } from '@pointsman/core'
import { type Context, dataplaneOf } from '../context.js'
import { runProcess } from '../dataplanes.js'
import { CliError } from '../errors.js'
import { readSave } from '../input/read-save.js'
import type { RulesQuestion } from '../input/rules-question.js'
import { familiesOf, interfaceAddressesOf, type RulesetCommandOptions } from '../input/ruleset-options.js'
import { interfaceAddresses } from '../machine/interface-addresses.js'
import type { VariantOptions } from '../machine/iptables-option.js'
import { machineOf } from '../machine/open-machine.js'
import { tcpBeLiberal } from '../machine/tcp-be-liberal.js'
import { SILENT } from '../output/line-sink.js'
import { createProgress } from '../output/progress.js'
import { familyAsked } from '../rules/family-asked.js'

/** Where an audit reads the tables from. */
export interface TableSource {
  readonly dataplane: Dataplane
  /** Whether reading again may give something else. */
  readonly isLive: boolean
  /** `iptables-nft 1.8.9`, or the file. */
  readonly name: string
  /** What the rules should rely on there, besides their family. */
  readonly machine: Omit<PlanOptions, 'family'>
  readonly read: () => Promise<readonly FamilyRules[]>
}

export interface SourceOptions extends RulesetCommandOptions, VariantOptions {
  readonly rules?: string
}

/** The file of `--rules`. CliError BAD_INPUT for what is no save. */
export async function savedSource(
  path: string,
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: SourceOptions,
  context: Context,
): Promise<TableSource> {
  const dataplane = dataplaneOf(context, config)
  const { name, rules } = await readSave(path, dataplane, context)
  const said = rules.family
  const family = options.family === undefined && said !== undefined ? said : familyAsked(options, { state }, context)
  if (said !== undefined && said !== family)
    throw new CliError('USAGE', `${name} has rules of ${said}: leave --family out, or give the other file`)
  return {
    dataplane,
    isLive: false,
    name,
    machine: { interfaceAddresses: interfaceAddressesOf(options) },
    read: async () => [{ family, rules }],
  }
}

/** The rules of this machine, or of the network namespace that the process is in. Fails as `Dataplane.openRules`. */
export async function liveSource(
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: SourceOptions,
  context: Context,
): Promise<TableSource> {
  const known = familiesOf(options, state)
  const families: readonly IpFamily[] = known.length > 0 ? known : ['IPv4', 'IPv6']
  const dataplane = dataplaneOf(context, config)
  const progress = createProgress(context)
  // That rules are in both variants is for the audit to say.
  const quiet = machineOf({ ...context, stderr: SILENT }, { progress })
  const choices = { iptablesVariant: options.iptablesVariant }
  const opened = await dataplane.openRules({ families, choices }, quiet)
  return {
    dataplane,
    isLive: true,
    name: opened.tool.name,
    machine: {
      interfaceAddresses: interfaceAddressesOf(options) ?? (await interfaceAddresses(runProcess)),
      tcpBeLiberal: tcpBeLiberal(),
      ...opened.capabilities,
    },
    async read() {
      try {
        return await opened.read()
      } finally {
        progress.end()
      }
    },
  }
}
