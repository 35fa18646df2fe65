import type { IpFamily } from '../model/address.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { HeldPort } from '../state/held-ports.js'
import type { State } from '../state/state.js'
import type { Backend } from './backend.js'

/** The machine as a command hands it to a rule system: what this process may do there, and who hears of it. */
export interface Machine {
  /** Throws an error with a message for people where this process may not read and write rules. */
  readonly requireNetAdmin: () => void
  /** The addresses that the machine's interfaces have, as last read. */
  readonly interfaceAddresses: () => readonly string[]
  /** External IPs of the machine that no rules may lead to, as other processes have their ports; asked at each sync. Default: none. */
  readonly unheldExternalIPs?: (() => readonly HeldPort[]) | undefined
  /** Ends what runs, which then fails. */
  readonly signal: AbortSignal
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
  readonly warn: (message: string) => void
  /** Called now and then while long listings are read and written. */
  readonly onProgress?: ((progress: MachineProgress) => void) | undefined
}

export interface MachineProgress {
  readonly family: IpFamily
  readonly doing: 'read' | 'restored'
  /** So far. */
  readonly lines: number
}

/** A sync of an earlier process, as a log has it. */
export interface LastSync {
  readonly digest: string
  readonly mark: string
}

/**
 * Command-line options that only one rule system knows, by the names that the command's parser gives them. A rule system
 * reads its own and ignores the others: `{ iptablesVariant: 'nft', nfacct: false }`.
 */
export type DataplaneChoices = Readonly<Record<string, string | boolean | undefined>>

export interface OpenOptions {
  readonly config: ProxyConfig
  /** At least one. */
  readonly families: readonly IpFamily[]
  readonly choices: DataplaneChoices
  /** The node whose rules are written, where it is known already. */
  readonly node?: State['node']
  /** Leave out a family that this machine lacks, with a warning, as long as there is another. Default: it is an error. */
  readonly leaveOut?: boolean | undefined
  /** Change nothing on the machine: what would have been done besides rules is in `skipped`. Default: prepare the machine. */
  readonly dryRun?: boolean | undefined
  /** What one command of the rule system's tool may take, in milliseconds. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** The last sync into this machine that a log knows: its digest and mark. Where both are found again, the first sync reads nothing. */
  readonly lastSync?: LastSync | undefined
  /** Of the program's code; absent: not known. */
  readonly build?: string | undefined
  /** A folder that only this user may change, for what the rule system needs while it is open; what is in it is replaced. */
  readonly folder?: string | undefined
  /** Of the machine's present boot; absent: no sync has a mark. */
  readonly bootId?: string | undefined
  /** Makes what is called around each sync of the families that were opened. */
  readonly syncHook?: ((families: readonly IpFamily[]) => SyncHook) | undefined
  /** Called after each family's part of each sync, failed ones included. What it throws fails the sync. */
  readonly onFamilySync?: ((report: FamilySyncReport) => void) | undefined
  /** Called after a sync that read the rules in force, if it kept chains because rules of others lead to them. */
  readonly onLeft?: ((left: readonly ForeignReference[]) => void) | undefined
}

/** Called around each sync that writes rules. It never makes a sync fail. `ConntrackHook` is one. */
export interface SyncHook {
  readonly beforeSync: () => Promise<void>
  /** `state` is read before it returns. */
  readonly afterSync: (state: State) => void
  readonly close: () => Promise<void>
}

/** A rule system, opened on a machine: its tools found, and what its rules rely on set. */
export interface OpenDataplane {
  readonly backend: DataplaneBackend
  readonly families: readonly IpFamily[]
  readonly tool: RuleTool
  /** The tool and why this one: `iptables-nft 1.8.9 (kubelet left its hint chain there)`. */
  readonly description: string
  /** What a dry run did not do to the machine, each as the end of a sentence that begins with "would": `run nfacct add x`. */
  readonly skipped: readonly string[]
  /** The last inputs sent to the tool, of each family. */
  readonly lastSent: SentInputs
  /** Whether `watchChanges` hears of every change of others while it listens; if not, only a comparison finds some. */
  readonly hearsEveryChange: boolean
  /**
   * Watches for what others change, until the signal aborts. Fails only with what a callback throws; any other failure goes to
   * `onError`, and the watch goes on.
   */
  watchChanges(options: WatchChangesOptions): Promise<void>
}

/** The program that writes the rules. */
export interface RuleTool {
  /** `iptables-nft 1.8.9`. */
  readonly name: string
  /** The same as fields of JSON output: `{ variant: 'nft', iptables: '1.8.9' }`. */
  readonly fields: Readonly<Record<string, string>>
}

export interface WatchChangesOptions {
  readonly signal: AbortSignal
  /** From one look at what has to be looked at to the next, in milliseconds. */
  readonly intervalMs: number
  /** Called for each change of others. `by`: the process that made it, where the kernel says. */
  readonly onChange: (by: ChangingProcess | undefined) => void
  readonly onError: (error: unknown) => void
  /** Called each time that it changes whether the watch hears of changes. Until the first call it does not. */
  readonly onListening: (listening: Listening) => void
}

/** Whether a watch hears of every change that others make from now on. A change that it did not hear of shows in a comparison only. */
export type Listening =
  | { readonly type: 'listening' }
  /** Absent error: it has begun, and reads what is there first. */
  | { readonly type: 'deaf'; readonly error?: unknown }

export interface ChangingProcess {
  /** As the initial pid namespace numbers it. */
  readonly pid: number
  /** Its name as the kernel knows it, 15 characters at most. */
  readonly command: string
}

/** A backend that writes into a kernel, and what only such a one can do. */
export interface DataplaneBackend extends Backend {
  /** What a sync would write, a family at a time. Reads the rules in force and changes nothing. */
  dryRun(state: State): Promise<readonly PlannedInput[]>
  /**
   * Compares the rules in force with what the last sync left, and repairs what others have changed since. Syncs may run while
   * rules are read; what they write meanwhile is left out. Undefined: nothing was found, but some family has nothing to be
   * compared with, as before the first sync. After a failure the next sync reads the rules in force.
   */
  repairDrift(signal: AbortSignal): Promise<readonly FamilyDrift[] | undefined>
  /**
   * Whether the rules in force are those of the last sync of an earlier process (`OpenOptions.lastSync`), and this program would make them
   * with the same settings for this Node; undefined: that is not certain. Changes nothing. Called before the first sync, which then has
   * nothing to read. Absent: nothing is known of earlier processes.
   */
  confirmLast?(node: State['node'], signal: AbortSignal): Promise<Confirmation | undefined>
}

/**
 * How it is known that rules are in force: the kernel says that nothing was committed since, or they were read, and are the same but for their
 * order in chains that service ports share.
 */
export type Confirmation = 'unchanged' | 'read'

/** An input for the rule system's tool. */
export interface PlannedInput {
  readonly family: IpFamily
  /** The command that reads it: `iptables-nft-restore --noflush --counters`. */
  readonly command: string
  /** Without line ends. None: all is as it should be. */
  readonly lines: readonly string[]
}

export interface SentInputs {
  readonly succeeded: () => readonly SentInput[]
  readonly failed: () => readonly SentInput[]
}

/** An input, as it was sent to the rule system's tool. */
export interface SentInput {
  readonly family: IpFamily
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  /** Without line ends. */
  readonly lines: readonly string[]
  /** Why it failed. */
  readonly error?: string
}

/** What others changed in one family, repaired. */
export interface FamilyDrift {
  readonly family: IpFamily
  /** Chains that differed, as `TABLE CHAIN`; for a missing jump, the chain that it belongs to. Sorted. */
  readonly chains: readonly string[]
  /** Sent to repair them. */
  readonly bytes: number
}

/** A rule of another program that leads to a chain of ours, so that the chain cannot be deleted. */
export interface ForeignReference {
  readonly table: string
  readonly chain: string
  /** The chain that has the rule. */
  readonly from: string
  /** The whole rule: `-A INPUT -j KUBE-NODEPORTS`. */
  readonly line: string
}

/** One family's part of one sync, for metrics. */
export interface FamilySyncReport {
  readonly family: IpFamily
  /** The rules in force were read, and everything was compared; else only what changed was rendered. */
  readonly full: boolean
  readonly durationMs: number
  /** Inputs that were sent to the tool, and their bytes; also of a sync that failed, the failed one included. */
  readonly restores: number
  readonly bytes: number
  /** Inputs that failed. A sync can succeed in spite of some. */
  readonly failures: number
  /** Of these, the ones that held only what had changed: the next attempt holds everything. Absent: not told apart. */
  readonly partialFailures?: number
  /** Of `failures`, those of removing what nothing leads to any more, after all that is wanted was in force. Default: none. */
  readonly cleanupFailures?: number
  /** Service ports that keep the rules that they had: none could be planned, or the kernel refuses them. Absent: none. */
  readonly refused?: number
  /** By table. */
  readonly tables: Readonly<Record<string, TableCounts>>
  /** Absent: the sync succeeded. */
  readonly error?: unknown
}

export interface TableCounts {
  /** Rules of ours in force after the sync; as before it when it failed. */
  readonly rules: number
  /** Rules that this sync wrote. */
  readonly written: number
}

/** What was removed, or would be, of one family by one tool. */
export interface CleanedFamily {
  readonly family: IpFamily
  readonly tool: RuleTool
  /** The input for the tool that removes it, without line ends; none: there is nothing to remove. */
  readonly lines: readonly string[]
  readonly removedChains: readonly { readonly table: string; readonly chain: string }[]
  /** Rules of ours, jumps to our chains included. */
  readonly removedRules: number
  readonly left: readonly LeftChain[]
}

/** What another mode of kube-proxy left besides rules: words for people. */
export interface ModeLeftovers {
  /** `ipset KUBE-CLUSTER-IP`; in a dry run what would be removed. */
  readonly removed: readonly string[]
  /** `ipset KUBE-CLUSTER-IP: it is in use`. */
  readonly left: readonly string[]
}

/** A chain that a cleanup leaves, and why. */
export interface LeftChain {
  readonly table: string
  readonly chain: string
  /** Rules of others that lead to it, as the tool lists them. None: it is kubelet's too. */
  readonly becauseOf: readonly string[]
}

/** The metrics that only one rule system has, under kube-proxy's names where kube-proxy has them. */
export interface DataplaneMetrics {
  readonly syncs: readonly SyncMetric[]
  /** Packets that the kernel has counted, by `key`. Read when the metrics are read. */
  readonly packets: readonly PacketMetric[]
  /** By key; one that the kernel does not have is left out. */
  readonly readPackets: () => Promise<Readonly<Record<string, number>>>
}

/** A metric that follows from the reports of syncs. The label `ip_family` is added to each. */
export interface SyncMetric {
  /** A counter grows by each value, from 0; a gauge is the last one. */
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  /** The values of the label `table`, where the metric has it. */
  readonly tables?: readonly string[]
  readonly value: (report: FamilySyncReport, table: string) => number
}

export interface PacketMetric {
  readonly name: string
  readonly help: string
  readonly key: string
}
