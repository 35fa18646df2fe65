import {
  describeIptables,
  openIptables,
  readTables,
  type RulesetOptions,
  withProgress,
} from '@pointsman/backend-iptables'
import type { IpFamily } from '@pointsman/core'
import { createIptables, type Iptables, IptablesError, type SavedTable, type Variant } from 'node-iptables'
import type { Context } from '../context.js'
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

/** The tables of one family, and what is known of the machine that they are of. */
export interface ReadTables {
  readonly family: IpFamily
  readonly tables: readonly SavedTable[]
  /** Of the iptables that was asked; absent: they were read from a file. */
  readonly variant?: Variant
  readonly version?: string
  /** What the variant has that the node does not use; absent: there is none, or it cannot be known. */
  readonly other?: { readonly variant: Variant; readonly tables: readonly SavedTable[] }
}

/** Where an audit reads the tables from. */
export interface TableSource {
  /** Whether reading again may give something else. */
  readonly isLive: boolean
  /** `iptables-nft 1.8.9`, or the file. */
  readonly name: string
  /** What the rules should rely on there, besides their family. */
  readonly machine: Omit<RulesetOptions, 'family'>
  readonly read: () => Promise<readonly ReadTables[]>
}

export interface SourceOptions extends RulesetCommandOptions, VariantOptions {
  readonly rules?: string
}

/** The file of `--rules`. CliError BAD_INPUT for what is no save. */
export async function savedSource(
  path: string,
  { state, options }: { readonly state: RulesQuestion['state']; readonly options: SourceOptions },
  context: Context,
): Promise<TableSource> {
  const { name, tables, family: said } = await readSave(path, context)
  const family = options.family === undefined && said !== undefined ? said : familyAsked(options, { state }, context)
  if (said !== undefined && said !== family)
    throw new CliError('USAGE', `${name} has rules of ${said}: leave --family out, or give the other file`)
  return {
    isLive: false,
    name,
    machine: { interfaceAddresses: interfaceAddressesOf(options) },
    read: async () => [{ family, tables }],
  }
}

/** The tables of this machine, or of the network namespace that the process is in. Fails as `openIptables`. */
export async function liveSource(
  { state }: Pick<RulesQuestion, 'state'>,
  options: SourceOptions,
  context: Context,
): Promise<TableSource> {
  const known = familiesOf(options, state)
  const families: readonly IpFamily[] = known.length > 0 ? known : ['IPv4', 'IPv6']
  // That rules are in both variants is for the audit to say.
  const quiet = { ...context, stderr: SILENT }
  const opened = await openIptables({ variant: options.iptablesVariant, families }, machineOf(quiet))
  const [first] = opened
  if (first === undefined) throw new Error('no family was asked for')
  const others = await Promise.all(opened.map((iptables) => otherOf(iptables, context)))
  const progress = createProgress(context)
  const machine = machineOf(context, { progress })
  const signal = context.interrupted
  const tablesOf = (iptables: Iptables): Promise<readonly SavedTable[]> =>
    readTables(withProgress(iptables, machine).saveLines({}, { signal }))
  return {
    isLive: true,
    name: describeIptables(first),
    machine: {
      interfaceAddresses: interfaceAddressesOf(options) ?? (await interfaceAddresses(runProcess)),
      tcpBeLiberal: tcpBeLiberal(),
      randomFully: first.capabilities.randomFully,
    },
    async read() {
      const read: ReadTables[] = []
      try {
        for (const [at, iptables] of opened.entries()) {
          const { variant, version } = iptables.capabilities
          const tables = await tablesOf(iptables)
          const other = others[at] && (await otherTables(others[at], tablesOf))
          read.push({ family: iptables.family, variant, version, tables, ...(other && { other }) })
        }
      } finally {
        progress.end()
      }
      return read
    },
  }
}

/** The same family by the other variant; undefined where that is not installed. */
async function otherOf({ family, capabilities }: Iptables, context: Context): Promise<Iptables | undefined> {
  const variant = capabilities.variant === 'nft' ? 'legacy' : 'nft'
  return unlessAbsent(createIptables({ family, variant }, { signal: context.interrupted }))
}

async function otherTables(
  iptables: Iptables,
  tablesOf: (iptables: Iptables) => Promise<readonly SavedTable[]>,
): Promise<ReadTables['other']> {
  const tables = await unlessAbsent(tablesOf(iptables))
  return tables && { variant: iptables.capabilities.variant, tables }
}

/** Undefined where a variant is not installed, or this kernel lacks it: then it has no rules. */
async function unlessAbsent<T>(attempt: Promise<T>): Promise<T | undefined> {
  try {
    return await attempt
  } catch (error) {
    if (error instanceof IptablesError && (error.code === 'NOT_FOUND' || error.code === 'NO_KERNEL_SUPPORT'))
      return undefined
    throw error
  }
}
