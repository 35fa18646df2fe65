import { conntrackCommands } from '@pointsman/core/io'
import {
  createIptablesBackend,
  type ForeignReference,
  type IptablesBackend,
  prepareNode,
} from '@pointsman/backend-iptables'
import { createConntrackHook, type ConntrackReport, type IpFamily } from '@pointsman/core'
import { type Iptables, runProcess } from 'node-iptables'
import { type Context, warn } from '../context.js'
import type { RulesQuestion } from '../input/rules-question.js'
import { familiesOf, interfaceAddressesOf, type RulesetCommandOptions } from '../input/ruleset-options.js'
import { createProgress } from '../output/progress.js'
import { dryRunner } from './dry-runner.js'
import { interfaceAddresses } from './interface-addresses.js'
import type { VariantOptions } from './iptables-option.js'
import { describeChoice, describeIptables, openIptables } from './open-iptables.js'
import { withProgress } from './with-progress.js'

export interface MachineOptions extends RulesetCommandOptions, VariantOptions {
  readonly dryRun?: true
}

/** The backend that writes into the tables of this machine, or of the network namespace that the process is in. */
export interface OpenedBackend {
  readonly backend: IptablesBackend
  /** Of one family; the others are of the same variant. */
  readonly iptables: Iptables
  readonly families: readonly IpFamily[]
  /** What was not done besides because of `dryRun`. */
  readonly skipped: readonly string[]
  /** Chains of ours that rules of others lead to, so that they are kept: as the last sync that read the tables saw it. */
  readonly left: readonly ForeignReference[]
  /** UDP flows that were looked at after syncs so far, and those that were deleted because nothing serves them any more. */
  readonly flows: Readonly<Flows>
  /** Wipes the line of progress. */
  readonly settle: () => void
}

export interface Flows {
  listed: number
  deleted: number
}

/**
 * Finds iptables for `--family`, else for the families of the node's addresses, else for both, makes on the machine what
 * the rules rely on, and says on standard error which iptables it is and what could not be made. Fails as `openIptables`.
 */
export async function openBackend(
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: MachineOptions,
  context: Context,
): Promise<OpenedBackend> {
  const given = interfaceAddressesOf(options)
  const known = familiesOf(options, state)
  const families: readonly IpFamily[] = known.length > 0 ? known : ['IPv4', 'IPv6']
  const opened = await openIptables({ variant: options.iptablesVariant, families }, context)
  const [first] = opened
  if (first === undefined) throw new Error('no family was asked for')
  const { run, skipped } = options.dryRun === true ? dryRunner(runProcess) : { run: runProcess, skipped: [] }
  const prepared = await prepareNode({ run, config, families, node: state.node, signal: context.interrupted })
  for (const warning of prepared.warnings) warn(context, warning)
  const whose = state.node === undefined ? '' : `node ${state.node.name}, `
  context.stderr.print(
    context.errorStyle.dim(`${whose}${families.join(' and ')}, ${describeIptables(first)}${describeChoice(first)}`),
  )
  const progress = createProgress(context)
  const left: ForeignReference[] = []
  const addresses = given ?? (await interfaceAddresses(runProcess))
  const flows: Flows = { listed: 0, deleted: 0 }
  const conntrack = createConntrackHook({
    config,
    flows: conntrackCommands({ run: runProcess }),
    families,
    nodeAddresses: () => addresses,
    patienceMs: CONNTRACK_PATIENCE_MS,
    onReport: (report) => countFlows(report, flows, context),
  })
  const backend = createIptablesBackend({
    config,
    iptables: opened.map((iptables) => withProgress(iptables, progress)),
    nfacct: prepared.nfacct,
    tcpBeLiberal: prepared.tcpBeLiberal,
    interfaceAddresses: addresses,
    onLeft: (references) => void left.splice(0, left.length, ...references),
    conntrack,
  })
  // Commands end after their last sync, and what it began is to be done by then.
  const close = async (): Promise<void> => {
    if (!context.interrupted.aborted) await conntrack.beforeSync()
    await backend.close()
  }
  return { backend: { ...backend, close }, iptables: first, families, skipped, left, flows, settle: progress.end }
}

const CONNTRACK_PATIENCE_MS = 60_000

function countFlows(report: ConntrackReport, flows: Flows, context: Context): void {
  flows.listed += report.listed
  flows.deleted += report.deleted
  if (report.type === 'failed') warn(context, report.error.message)
}
