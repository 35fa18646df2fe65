import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import {
  createConntrackHook,
  type ConntrackHook,
  type ConntrackReport,
  codeOf,
  type Dataplane,
  type DataplaneBackend,
  type FamilySyncReport,
  type FlowTable,
  type ForeignReference,
  type Front,
  type IpFamily,
  type Machine,
  messageOf,
  type OpenDataplane,
  type OpenOptions,
  type ProxyConfig,
} from '@pointsman/core'
import { conntrackCommands, conntrackNetlink } from '@pointsman/core/io'
import { dataplaneOf, warn, type Context } from '../context.js'
import { deleteFlows, listFlows, runProcess } from '../dataplanes.js'
import { CliError } from '../errors.js'
import {
  familiesOf,
  interfaceAddressesOf,
  type RulesetCommandOptions,
  type RulesQuestion,
  type VariantOptions,
} from '../input/rules-question.js'
import { formatCount } from '../output/format-text.js'
import { createProgress, type Progress } from '../output/progress.js'

/**
 * The addresses that this machine's interfaces have, loopback's among them: those of ip(8), as kube-proxy sees them, down
 * interfaces included. Where there is no ip(8), those of interfaces that are up and have a carrier.
 */
export async function interfaceAddresses(run: RunIp): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await run({ argv: ['ip', '-json', 'address', 'show'], timeoutMs: TIMEOUT_MS })
    if (exitCode === 0) return addressesIn(JSON.parse(stdout) as readonly ShownInterface[])
  } catch (error) {
    // Another ip(8), such as BusyBox's, prints no JSON.
    if (!isFailedRun(error) && !(error instanceof SyntaxError)) throw error
  }
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
}

/** Runs one command. `runProcess` of node-iptables is one. */
type RunIp = (request: {
  readonly argv: readonly string[]
  readonly timeoutMs: number
}) => Promise<{ readonly exitCode: number | null; readonly stdout: string }>

const isFailedRun = (error: unknown): boolean => error instanceof Error && 'code' in error

const TIMEOUT_MS = 10_000

/** What is used of what ip(8) prints. */
interface ShownInterface {
  readonly addr_info?: readonly { readonly local?: string }[]
}

const addressesIn = (interfaces: readonly ShownInterface[]): readonly string[] =>
  interfaces.flatMap(({ addr_info: shown = [] }) => shown.flatMap(({ local }) => local ?? []))

/** Of the machine's present boot. Undefined: this system does not say. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The kernel's nf_conntrack_tcp_be_liberal, in this network namespace. Undefined: conntrack is not loaded, or it cannot be read. */
export function tcpBeLiberal(): boolean | undefined {
  try {
    return readFileSync('/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal', 'utf8').trim() !== '0'
  } catch {
    return undefined
  }
}

/** The machine that the command runs on, or the network namespace that it is in. */
export const machineOf = (
  context: Context,
  {
    addresses = () => [],
    progress,
    unheldExternalIPs,
  }: {
    readonly addresses?: () => readonly string[]
    readonly progress?: Progress
    readonly unheldExternalIPs?: Machine['unheldExternalIPs']
  } = {},
): Machine => ({
  requireNetAdmin,
  interfaceAddresses: addresses,
  unheldExternalIPs,
  signal: context.interrupted,
  now: context.now,
  warn: (message) => warn(context, message),
  onProgress:
    progress && (({ family, doing, lines }) => progress.show(() => `${family}: ${doing} ${formatCount(lines)} lines`)),
})

export interface MachineOptions extends RulesetCommandOptions, VariantOptions {
  readonly dryRun?: true
}

/** What a command that writes rules once writes them with. */
export interface OpenedBackend extends Pick<OpenDataplane, 'backend' | 'families' | 'tool' | 'skipped'> {
  /** Chains of ours that rules of others lead to, so that they are kept: as the last sync that read the rules saw it. */
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
 * Opens the data plane for `--family`, else for the families of the node's addresses, else for both, and says on standard error
 * with which tool. Fails as `Dataplane.open`.
 */
export async function openBackend(
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  options: MachineOptions,
  context: Context,
): Promise<OpenedBackend> {
  const given = interfaceAddressesOf(options)
  const known = familiesOf(options, state)
  const progress = createProgress(context)
  const left: ForeignReference[] = []
  const addresses = given ?? (await interfaceAddresses(runProcess))
  const flows: Flows = { listed: 0, deleted: 0 }
  let conntrack: ConntrackHook | undefined
  const opened = await dataplaneOf(context, config).open(
    {
      config,
      families: known.length > 0 ? known : ['IPv4', 'IPv6'],
      choices: { iptablesVariant: options.iptablesVariant },
      node: state.node,
      dryRun: options.dryRun,
      onLeft: (references) => void left.splice(0, left.length, ...references),
      syncHook: (families) =>
        (conntrack = createConntrackHook({
          config,
          flows: machineFlows(),
          families,
          nodeAddresses: () => addresses,
          patienceMs: CONNTRACK_PATIENCE_MS,
          onReport: (report) => countFlows(report, flows, context),
        })),
    },
    machineOf(context, { addresses: () => addresses, progress }),
  )
  const { families, tool, skipped, description } = opened
  const backend = leavingOtherModes(opened.backend, { config, machine: machineOf(context) }, context)
  const whose = state.node === undefined ? '' : `node ${state.node.name}, `
  context.stderr.print(context.errorStyle.dim(`${whose}${families.join(' and ')}, ${description}`))
  // Commands end after their last sync, and what it began is to be done by then.
  const close = async (): Promise<void> => {
    if (!context.interrupted.aborted) await conntrack?.beforeSync()
    await backend.close()
  }
  return { backend: { ...backend, close }, tool, families, skipped, left, flows, settle: progress.end }
}

const CONNTRACK_PATIENCE_MS = 60_000

function countFlows(report: ConntrackReport, flows: Flows, context: Context): void {
  flows.listed += report.listed
  flows.deleted += report.deleted
  if (report.type === 'failed') warn(context, report.error.message)
}

interface AgentMachineOptions extends VariantOptions {
  readonly config: ProxyConfig
  /** The families were asked for: one that this machine does not have is an error. Default: it is left out. */
  readonly family?: string | undefined
  /** False: without kube-proxy's packet counters. */
  readonly nfacct?: boolean | undefined
  /** Addresses that the interfaces have, where they are given. */
  readonly nodeAddresses?: readonly string[] | undefined
  /** UDP fronts that there were before the start, whose flows may lead to what no longer serves. */
  readonly formerFronts: () => readonly Front[]
  readonly unheldExternalIPs?: Machine['unheldExternalIPs']
  readonly lastSync?: OpenOptions['lastSync']
  readonly bootId?: string | undefined
  readonly folder?: OpenOptions['folder']
  readonly onFamilySync: (report: FamilySyncReport) => void
  readonly onConntrack: (report: ConntrackReport) => void
}

/** The data plane that an agent syncs to, and the addresses of the machine that it is on. */
export interface AgentMachine extends OpenDataplane {
  readonly addresses: () => readonly string[]
  /** Looks at the interfaces again; whether they have other addresses than before. */
  readonly refreshAddresses: () => Promise<boolean>
}

/** The flows that this machine's kernel tracks: by conntrack(8) where netlink cannot be used from this process. */
const machineFlows = (): FlowTable =>
  conntrackNetlink({ netlink: { listFlows, deleteFlows }, otherwise: conntrackCommands({ run: runProcess }) })

/** The largest input, and the listing of the most rules, take seconds: what takes longer hangs, and is ended and tried again. */
const COMMAND_TIMEOUT_MS = 120_000

/** Opens the data plane for an agent. Fails as `Dataplane.open`. */
export async function openAgentMachine(
  { dataplane, ...options }: AgentMachineOptions & { readonly dataplane: Dataplane },
  context: Context,
): Promise<AgentMachine> {
  const { config, nodeAddresses } = options
  let addresses = nodeAddresses ?? (await interfaceAddresses(runProcess))
  const opened = await dataplane.open(
    {
      config,
      families: config.families,
      choices: { iptablesVariant: options.iptablesVariant, nfacct: options.nfacct },
      leaveOut: options.family === undefined,
      lastSync: options.lastSync,
      build: buildOf(import.meta.url),
      bootId: options.bootId,
      folder: options.folder,
      timeoutMs: COMMAND_TIMEOUT_MS,
      syncHook: (families: readonly IpFamily[]) =>
        createConntrackHook({
          config,
          flows: machineFlows(),
          families,
          nodeAddresses: () => addresses,
          formerFronts: options.formerFronts,
          onReport: options.onConntrack,
        }),
      onFamilySync: options.onFamilySync,
      onLeft: (references) => {
        for (const { chain, from } of references)
          warn(context, `${chain} is kept: an external rule in ${from} jumps to it`)
      },
    },
    machineOf(context, { addresses: () => addresses, unheldExternalIPs: options.unheldExternalIPs }),
  )
  return {
    ...opened,
    backend: leavingOtherModes(opened.backend, { config, machine: machineOf(context) }, context),
    addresses: () => addresses,
    async refreshAddresses() {
      if (nodeAddresses !== undefined) return false
      const before = addresses
      addresses = await interfaceAddresses(runProcess)
      return [...before].toSorted().join() !== [...addresses].toSorted().join()
    },
  }
}

/**
 * Rules of kube-proxy's other modes would go on taking packets beside those of this one. They are removed after the first sync, when
 * these are in force, so that no new connection is without rules; what is established is translated by conntrack, whatever rules there are.
 */
function leavingOtherModes(
  backend: DataplaneBackend,
  { config: { mode }, machine }: { readonly config: Pick<ProxyConfig, 'mode'>; readonly machine: Machine },
  { dataplanes }: Pick<Context, 'dataplanes'>,
): DataplaneBackend {
  let isLeft = false
  const leave = async (other: Dataplane): Promise<void> => {
    const cleaned = await other.cleanup({ choices: {}, dryRun: false }, machine)
    for (const { family, tool, removedRules, removedChains } of cleaned)
      if (removedRules + removedChains.length > 0)
        machine.warn(
          `rules of mode ${other.mode} were left on this node: removed ${formatCount(removedRules)} of ${family} with ${tool.name}`,
        )
  }
  return {
    ...backend,
    async sync(request, signal) {
      const result = await backend.sync(request, signal)
      if (isLeft) return result
      isLeft = true
      for (const other of dataplanes.filter((each) => each.mode !== mode))
        await leave(other).catch((error: unknown) => {
          // Where its tool is not installed, nobody has written rules with it.
          if (TOOL_MISSING.has(codeOf(error))) return
          machine.warn(
            `rules that mode ${other.mode} may have left are still there: ${messageOf(error)}; run pointsman cleanup`,
          )
        })
      return result
    },
  }
}

const TOOL_MISSING: ReadonlySet<string> = new Set([
  'NOT_FOUND',
  'NFT_MISSING',
  'NFT_NO_KERNEL_SUPPORT',
  'NO_KERNEL_SUPPORT',
])

/**
 * Which build of the program this is, by the file of one of its modules. The bundle's first file names all others by what is in them. Undefined
 * where the program is no bundle.
 */
function buildOf(module: string): string | undefined {
  try {
    const file = new URL('main.js', module)
    return file.pathname.endsWith('/bundle/main.js') ? hash('sha256', readFileSync(file)) : undefined
  } catch {
    return undefined
  }
}

/**
 * CliError CANNOT where this process lacks CAP_NET_ADMIN: without it no table can be read, let alone written. Whether the
 * kernel then respects it; whether CAP_NET_RAW, which legacy needs as well, is there, the first iptables command shows.
 */
function requireNetAdmin(): void {
  const effective = effectiveCapabilities()
  if (effective === undefined || (effective & CAP_NET_ADMIN) !== 0n) return
  throw new CliError(
    'CANNOT',
    'reading or writing the tables of this machine requires CAP_NET_ADMIN (and CAP_NET_RAW for iptables-legacy): run as root, or with these capabilities',
  )
}

/** The twelfth, of linux/capability.h. */
const CAP_NET_ADMIN = 1n << 12n

/** Undefined where /proc does not tell. */
function effectiveCapabilities(): bigint | undefined {
  try {
    const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return hex === undefined ? undefined : BigInt(`0x${hex}`)
  } catch {
    return undefined
  }
}
