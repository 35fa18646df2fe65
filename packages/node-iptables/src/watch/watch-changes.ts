import type { Iptables } from '../iptables.js'
import { runProcess } from '../run-process.js'
import type { Run } from '../run-process.js'
import { sleep } from './sleep.js'
import type { Sleep } from './sleep.js'
import type { Generation, Watchers } from './table-change.js'
import { watchCanaries } from './watch-canaries.js'
import { watchGenerations } from './watch-generations.js'

export interface WatchOptions extends Watchers {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** None: nothing is written, and nothing noticed where there is no monitor. */
  readonly canary?: CanaryOptions | undefined
  /** None: the kernel is not listened to. One serves both families; it sees nothing of iptables-legacy. */
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
   * as canary-flushed. Default: none, the chain stays empty, as whoever compares rules expects of it. No packet comes here.
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
  /** `nft`, or iptables' own `xtables-monitor`, which needs little memory, is easily overrun, and needs stdbuf. Default: `nft`. */
  readonly program?: keyof typeof MONITORS | undefined
  /** Words before the command, as given to createIptables: the monitor sees one network namespace. */
  readonly prefix?: readonly string[] | undefined
  readonly run?: Run | undefined
  /** How long to wait before a monitor that ended is started again, doubled each time. Default: 1,000 to 60,000. */
  readonly restart?: { readonly minMs: number; readonly maxMs: number } | undefined
}

/**
 * Watches for what others do to the tables, until the signal aborts; settles when its last process has ended. Fails only
 * with what a callback throws; whatever else goes wrong is told by `onError`, and the watch goes on.
 */
export async function watchChanges(options: WatchOptions): Promise<void> {
  const { canary, monitor, onChange, onError } = options
  const failing = new AbortController()
  const common = {
    onChange,
    onError,
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

const monitorDefaults = ({ isOwn, program = 'nft', prefix = [], ...given }: MonitorOptions) => ({
  isOwn,
  argv: [...prefix, ...MONITORS[program]],
  run: given.run ?? runProcess,
  restart: given.restart ?? { minMs: 1000, maxMs: 60_000 },
})
