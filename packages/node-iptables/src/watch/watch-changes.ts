import { setTimeout } from 'node:timers/promises'
import type { Family } from '../detect-variant.js'
import type { Iptables, Limits } from '../iptables.js'
import { type Run, runProcess } from '../run-process.js'
import { openNetlink, watchGenerations } from './watch-generations.js'

export interface WatchOptions extends Watchers {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** None: nothing is written, and nothing noticed where there is no monitor. */
  readonly canary?: CanaryOptions | undefined
  /** None: the kernel is not listened to. One serves both families; it sees nothing of iptables-legacy, which has no generations. */
  readonly monitor?: MonitorOptions | undefined
  readonly sleep?: Sleep | undefined
}

export interface CanaryOptions {
  /** One a family. */
  readonly iptables: readonly Iptables[]
  /** A name that nobody else uses, for a chain in each of the tables. The watch does not delete it in the end. */
  readonly chain: string
  /** Default: mangle, nat and filter. */
  readonly tables?: readonly string[] | undefined
  /**
   * The words of a rule to keep in the chain, such as `['-j', 'RETURN']`: then a flush that deletes no chain shows too,
   * as canary-flushed. Default: none, the chain stays empty, as a comparison of rules expects. No packet comes here.
   */
  readonly rule?: readonly string[] | undefined
  /** From the end of one look to the next. Default: 30,000. */
  readonly intervalMs?: number | undefined
  /** For each command of a look. Default: 30,000. */
  readonly timeoutMs?: number | undefined
}

export interface MonitorOptions {
  /** Which commits are the caller's own, and not told: see `ownProcesses`. */
  readonly isOwn: (generation: Generation) => boolean
  /**
   * What listens. `netlink`: this process, through the package node-netfilter, and `nft` where that is not installed or the kernel
   * refuses it. `nft`: a process of `nft monitor`. `xtables-monitor`: iptables' own, which needs little memory, is easily overrun,
   * and needs stdbuf. Default: `netlink` without a `prefix`, else `nft`.
   */
  readonly program?: 'netlink' | keyof typeof MONITORS | undefined
  /** Words before the command, as given to createIptables: the monitor sees one network namespace. */
  readonly prefix?: readonly string[] | undefined
  readonly run?: Run | undefined
  /** How long to wait before a monitor that ended is started again, doubled each time. Default: 1,000 to 60,000. */
  readonly restart?: { readonly minMs: number; readonly maxMs: number } | undefined
}

/**
 * Watches for what others do to the tables, until the signal aborts; settles when its last process has ended. Fails only
 * with what a callback throws; any other failure is reported by `onError`, and the watch goes on.
 */
export async function watchChanges(options: WatchOptions): Promise<void> {
  const { canary, monitor, onChange, onError } = options
  const failing = new AbortController()
  const common = {
    onChange,
    onError,
    onListening: options.onListening,
    sleep: options.sleep ?? sleep,
    signal: AbortSignal.any([options.signal, failing.signal]),
  }
  const watches = [
    ...(canary === undefined ? [] : [watchCanaries({ ...common, ...canaryDefaults(canary) })]),
    ...(monitor === undefined ? [] : [watchGenerations({ ...common, ...monitorDefaults(monitor) })]),
  ]
  for (const watch of watches) watch.catch(() => failing.abort())
  const ends = await Promise.allSettled(watches)
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

const MONITORS = {
  nft: ['nft', 'monitor'],
  // Only to a terminal does it print each line as it comes.
  'xtables-monitor': ['stdbuf', '--output=L', 'xtables-monitor', '--event'],
} as const

const canaryDefaults = ({ iptables, chain, rule, ...given }: CanaryOptions) => ({
  iptables,
  chain,
  rule,
  tables: given.tables ?? ['mangle', 'nat', 'filter'],
  intervalMs: given.intervalMs ?? 30_000,
  timeoutMs: given.timeoutMs ?? 30_000,
})

const monitorDefaults = ({ isOwn, prefix = [], ...given }: MonitorOptions) => {
  const { program = prefix.length === 0 ? 'netlink' : 'nft' } = given
  return {
    isOwn,
    netlink: program === 'netlink' ? openNetlink : undefined,
    argv: [...prefix, ...MONITORS[program === 'netlink' ? 'nft' : program]],
    run: given.run ?? runProcess,
    restart: given.restart ?? { minMs: 1000, maxMs: 60_000 },
  }
}

/** A change of the tables by another program, as far as it can be seen. What to do about it is the caller's decision. */
export type TableChange =
  /** Canary chains were deleted, and with them surely other chains. One call for each disappearance. */
  | { readonly type: 'canary-gone'; readonly family: Family; readonly tables: readonly string[] }
  /** Canary chains lost their rule, as every chain does in `iptables -t TABLE -F`. */
  | { readonly type: 'canary-flushed'; readonly family: Family; readonly tables: readonly string[] }
  | Generation
  /** Generations were missed. What they changed, and whether it was another's work, only the tables can tell. */
  | { readonly type: 'changes-unseen' }

/** One commit to nf_tables, of any family and table of the network namespace. */
export interface Generation {
  readonly type: 'generation'
  /** Counts up by one with each commit in the network namespace. */
  readonly generation: number
  /** The process that made it, as the initial pid namespace numbers it. It may have ended. */
  readonly pid: number
  /** Its name as the kernel knows it, at most 15 characters: `iptables-nft-re`. */
  readonly command: string
}

/** Whom to tell. None is waited for; what one of them throws ends the watch and is what it fails with. */
export interface Watchers {
  readonly onChange: (change: TableChange) => void
  /** Something could not be looked at. The watch goes on. An IptablesError, if `run` fails with no other. */
  readonly onError: (error: unknown) => void
  /** Whether the kernel's generations are heard, each time that this changes. */
  readonly onListening?: ((listening: Listening) => void) | undefined
}

/** Whether the kernel's generations are heard. Before the first report they are not. */
export type Listening =
  /** Each generation after `since` is reported. */
  | { readonly type: 'listening'; readonly by: 'netlink' | 'monitor'; readonly since: number }
  /**
   * What is committed from now on is reported only as changes-unseen, when the kernel is heard again. Absent error: a monitor was
   * started, which reads all rules first.
   */
  | { readonly type: 'deaf'; readonly error?: unknown }

/** Settles after so many milliseconds, and at once when the signal aborts. Never fails. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

const sleep: Sleep = async (ms, signal) => {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined)
}

interface CanaryWatch extends Watchers {
  readonly iptables: readonly Iptables[]
  readonly tables: readonly string[]
  readonly chain: string
  /** The words of a rule to keep in the chain, so that a flush without a deletion shows too. */
  readonly rule: readonly string[] | undefined
  readonly intervalMs: number
  /** For each command. */
  readonly timeoutMs: number
  readonly sleep: Sleep
  readonly signal: AbortSignal
}

/**
 * Makes the canaries, then looks at an interval whether they are there, until the signal aborts. What is lost is reported
 * first and made again after: a command that fails or is ended in between can lose no news. One that could not be made
 * is tried again at the next look, and is not told twice.
 */
export async function watchCanaries(watch: CanaryWatch): Promise<void> {
  const checks = watch.iptables.map((iptables) => canaryCheck(watch, iptables))
  while (!watch.signal.aborted) {
    for (const check of checks) await check()
    await watch.sleep(watch.intervalMs, watch.signal)
  }
}

type Canary = 'whole' | 'flushed' | 'gone'

interface Found {
  readonly table: string
  readonly canary: Canary
}

function canaryCheck(watch: CanaryWatch, iptables: Iptables): () => Promise<void> {
  const { tables, signal, onError } = watch
  const limits: Limits = { signal, timeoutMs: watch.timeoutMs }
  /** The tables whose canary was whole when it was last seen. */
  const known = new Set<string>()

  const isOver = (): boolean => signal.aborted

  /** Undefined: it failed, and that was reported, or the watch ends. */
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (isOver()) return undefined
    const outcome = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    if ('value' in outcome) return outcome.value
    if (!isOver()) onError(outcome.error)
    return undefined
  }

  return async () => {
    const found: Found[] = []
    for (const table of tables) {
      const canary = await attempt(() => look(iptables, { ...watch, table, limits }))
      if (canary !== undefined) found.push({ table, canary })
    }
    if (isOver()) return
    tell(
      watch,
      iptables.family,
      found.filter(({ table }) => known.has(table)),
    )
    for (const { table, canary } of found) {
      if (canary !== 'whole') known.delete(table)
      const isWhole =
        canary === 'whole' || (await attempt(() => make(iptables, { ...watch, table, limits }))) === 'whole'
      if (isWhole) known.add(table)
    }
  }
}

interface CanaryPlace {
  readonly table: string
  readonly chain: string
  readonly rule: readonly string[] | undefined
  readonly limits: Limits
}

async function look(iptables: Iptables, { table, chain, rule, limits }: CanaryPlace): Promise<Canary> {
  if (!(await iptables.hasChain({ table, chain }, limits))) return 'gone'
  return rule === undefined || (await iptables.checkRule({ table, chain, rule }, limits)) ? 'whole' : 'flushed'
}

async function make(iptables: Iptables, { table, chain, rule, limits }: CanaryPlace): Promise<'whole'> {
  await iptables.ensureChain({ table, chain }, limits)
  if (rule !== undefined) await iptables.ensureRule({ table, chain, rule, position: 'append' }, limits)
  return 'whole'
}

function tell({ onChange }: Watchers, family: Family, found: readonly Found[]): void {
  const tablesWith = (canary: Canary): readonly string[] =>
    found.filter((one) => one.canary === canary).map(({ table }) => table)
  const gone = tablesWith('gone')
  const flushed = tablesWith('flushed')
  if (gone.length > 0) onChange({ type: 'canary-gone', family, tables: gone })
  if (flushed.length > 0) onChange({ type: 'canary-flushed', family, tables: flushed })
}
