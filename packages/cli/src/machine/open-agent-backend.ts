import { conntrackCommands } from '@pointsman/core/io'
import {
  createIptablesBackend,
  type FamilySyncReport,
  type IptablesBackend,
  prepareNode,
} from '@pointsman/backend-iptables'
import { createConntrackHook, type ConntrackReport, type Front, type IpFamily, type ProxyConfig } from '@pointsman/core'
import { type Iptables, ownProcesses, type OwnProcesses, runProcess, type Variant } from 'node-iptables'
import { type Context, warn } from '../context.js'
import { interfaceAddresses } from './interface-addresses.js'
import { describeChoice, describeIptables, openIptables } from './open-iptables.js'

export interface AgentBackendOptions {
  readonly config: ProxyConfig
  readonly variant: 'auto' | Variant
  /** The families were asked for: one that this machine does not have is an error. Default: it is left out. */
  readonly family?: string | undefined
  /** False: without kube-proxy's packet counters. */
  readonly nfacct?: boolean | undefined
  /** Addresses that the interfaces bear, where they are given. */
  readonly nodeAddresses?: readonly string[] | undefined
  /** UDP fronts that there were before the start, whose flows may lead to what no longer serves. */
  readonly formerFronts: readonly Front[]
  /** iptables through which everything is restored. */
  readonly remembering: (iptables: Iptables) => Iptables
  readonly onFamilySync: (report: FamilySyncReport) => void
  readonly onConntrack: (report: ConntrackReport) => void
}

export interface AgentBackend {
  readonly backend: IptablesBackend
  readonly families: readonly IpFamily[]
  readonly iptables: readonly Iptables[]
  /** Which changes of the tables are the agent's own. */
  readonly isOwn: OwnProcesses['isOwn']
  /** `iptables-nft 1.8.9`, and why that one. */
  readonly description: string
  /** What the interfaces bear. */
  readonly addresses: () => readonly string[]
  /** Looks at the interfaces again; whether they bear other addresses than before. */
  readonly refreshAddresses: () => Promise<boolean>
}

/** The largest restore, and the saving of the largest tables, take seconds: what takes longer hangs, and is ended and tried again. */
const COMMAND_TIMEOUT_MS = 120_000

/**
 * Finds iptables of each of the configuration's families, makes on the machine what the rules rely on, and gives the backend
 * that an agent syncs to. Fails as `openIptables`.
 */
export async function openAgentBackend(options: AgentBackendOptions, context: Context): Promise<AgentBackend> {
  const { config, variant, nodeAddresses } = options
  const own = ownProcesses({ run: runProcess })
  const opened = await openIptables(
    {
      variant,
      families: config.families,
      run: own.run,
      leaveOut: options.family === undefined,
      timeoutMs: COMMAND_TIMEOUT_MS,
    },
    context,
  )
  const families = opened.map(({ family }) => family)
  const iptables = opened.map(options.remembering)
  const prepared = await prepareNode({ run: own.run, config, families, signal: context.interrupted })
  for (const warning of prepared.warnings) warn(context, warning)
  if (options.nfacct === true && !prepared.nfacct)
    warn(context, '--nfacct: nfacct(8) does not work here, so that nothing is counted')

  let addresses = nodeAddresses ?? (await interfaceAddresses(runProcess))
  const conntrack = createConntrackHook({
    config,
    flows: conntrackCommands({ run: runProcess }),
    families,
    nodeAddresses: () => addresses,
    formerFronts: options.formerFronts,
    onReport: options.onConntrack,
  })
  const backend = createIptablesBackend({
    config,
    iptables,
    nfacct: prepared.nfacct && options.nfacct !== false,
    tcpBeLiberal: prepared.tcpBeLiberal,
    interfaceAddresses: () => addresses,
    conntrack,
    onFamilySync: options.onFamilySync,
    onLeft: (references) => {
      for (const { chain, from } of references)
        warn(context, `${chain} is kept: a rule of somebody else's in ${from} leads to it`)
    },
  })
  const [first] = iptables
  return {
    backend,
    families,
    iptables,
    isOwn: own.isOwn,
    description: first === undefined ? '' : `${describeIptables(first)}${describeChoice(first)}`,
    addresses: () => addresses,
    async refreshAddresses() {
      if (nodeAddresses !== undefined) return false
      const before = addresses
      addresses = await interfaceAddresses(runProcess)
      return [...before].toSorted().join() !== [...addresses].toSorted().join()
    },
  }
}
