import {
  type Capabilities,
  capabilitiesOf,
  type ChainPlace,
  type Iptables,
  type Limits,
  type RestoreOptions,
  type RulePlace,
  type SaveOptions,
  type Variant,
} from './iptables.js'
import { type Commands, commandsOf, unless } from './commands.js'
import {
  checkFamily,
  chooseVariant,
  evidenceIn,
  type Executables,
  executablesOf,
  type Family,
  type VariantChoice,
  type VariantEvidence,
  type VariantHints,
} from './detect-variant.js'
import { IptablesError, type IptablesErrorCode } from './iptables-error.js'
import { linesOf, restoreSource } from './restore-input.js'
import { isRuleInSave } from './rules/saved-tables.js'
import { type Run, runProcess, type RunRequest } from './run-process.js'
import { checkWaitSeconds, underXtablesLock } from './xtables-lock.js'

export interface IptablesOptions {
  /** One object serves one family. */
  readonly family: Family
  /** `auto`: by `hints` when given, otherwise whatever `iptables` is on this node. Default: `auto`. */
  readonly variant?: 'auto' | Variant | undefined
  /** The evidence for the variant that other programs use. Used with `auto` alone. */
  readonly hints?: VariantHints | undefined
  /**
   * How long commands wait for the xtables lock, in whole seconds from 1. Default: 5. nft takes no lock; 1.4.20 and
   * 1.4.21 wait as long as it takes, so give those a `timeoutMs`.
   */
  readonly waitSeconds?: number | undefined
  /** For calls that set none. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** The folder of the executables. Default: where `searchPath` leads. */
  readonly folder?: string | undefined
  /** Words before every command, such as `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[] | undefined
  /**
   * Default: `/run/xtables.lock`. Passed on as XTABLES_LOCKFILE, which 1.8.9 respects; an old version that does not locks
   * the file that it was built with, whatever this says.
   */
  readonly lockFile?: string | undefined
  /** How processes are started. Default: runProcess. */
  readonly run?: Run | undefined
}

/**
 * Finds out which iptables is there and what it can do, and gives the methods for it.
 *
 * Fails with an IptablesError: NOT_FOUND, CANNOT_START, UNKNOWN_VERSION, and with `hints` NO_PERMISSION; and with a
 * RangeError for a wrong `waitSeconds` or `family`.
 */
export async function createIptables(options: IptablesOptions, limits: Limits = {}): Promise<Iptables> {
  const { family, variant = 'auto', hints, waitSeconds = 5, folder, lockFile } = options
  checkFamily(family)
  checkWaitSeconds(waitSeconds)
  const commands = commandsOf({
    run: options.run ?? runProcess,
    prefix: options.prefix ?? [],
    env: lockFile === undefined ? {} : { XTABLES_LOCKFILE: lockFile },
    lockFile: lockFile ?? DEFAULT_LOCK_FILE,
  })
  const probe: Probe = { commands, folder, limits: { timeoutMs: options.timeoutMs, ...limits } }
  const choice = variant === 'auto' && hints !== undefined ? await choiceBy(probe, hints) : undefined
  const wanted = choice?.variant ?? variant
  const { executables, capabilities } = await installed(probe, { family, variant: wanted })
  return {
    family,
    capabilities,
    choice,
    ...tableMethods({
      commands,
      executables,
      capabilities,
      family,
      waitSeconds,
      timeoutMs: options.timeoutMs,
      lockFile: lockFile ?? DEFAULT_LOCK_FILE,
    }),
  }
}

const DEFAULT_LOCK_FILE = '/run/xtables.lock'
const FAMILIES: readonly Family[] = ['IPv4', 'IPv6']

interface Probe {
  readonly commands: Commands
  readonly folder: string | undefined
  readonly limits: Limits
}

interface Installed {
  readonly executables: Executables
  readonly capabilities: Capabilities
}

/** Versions before 1.8 have no names with a variant: the plain one serves when it is of the wanted kind. */
async function installed(
  { commands, folder, limits }: Probe,
  { family, variant }: { readonly family: Family; readonly variant: 'auto' | Variant },
): Promise<Installed> {
  const look = async (named: 'auto' | Variant): Promise<Installed> => {
    const executables = executablesOf({ family, variant: named, folder })
    const { argv, stdout, stderr } = await commands.run({ argv: [executables.iptables, '--version'], ...limits })
    const capabilities = capabilitiesOf(stdout)
    if (capabilities === undefined) throw new IptablesError('UNKNOWN_VERSION', { argv, stderr: stdout + stderr })
    return {
      executables,
      capabilities: { ...capabilities, restoreWait: await restoreWaits(executables, capabilities) },
    }
  }
  /**
   * Distributions gave the restore's lock to 1.4 as well: run under ours, it would be refused its own. As kube-proxy
   * did, such a restore is recognized by its having a version at all; others complain, and end with their empty input.
   */
  const restoreWaits = async ({ restore }: Executables, { restoreWait }: Capabilities): Promise<boolean> => {
    if (restoreWait) return true
    try {
      const { stdout } = await commands.run({ argv: [restore, '--version'], ...limits })
      return capabilitiesOf(stdout) !== undefined
    } catch (error) {
      if (!(error instanceof IptablesError) || error.code === 'ABORTED' || error.code === 'TIMED_OUT') throw error
      return false
    }
  }
  try {
    return await look(variant)
  } catch (error) {
    if (variant === 'auto' || !(error instanceof IptablesError) || error.code !== 'NOT_FOUND') throw error
    const plain = await look('auto').catch(() => undefined)
    if (plain?.capabilities.variant !== variant) throw error
    return plain
  }
}

async function choiceBy(probe: Probe, hints: VariantHints): Promise<VariantChoice | undefined> {
  const [nft, legacy] = await Promise.all([evidenceOf(probe, 'nft', hints), evidenceOf(probe, 'legacy', hints)])
  return chooseVariant({ nft, legacy }, hints)
}

/** Both families' rules count: a node uses one variant for both. */
async function evidenceOf(probe: Probe, variant: Variant, hints: VariantHints): Promise<VariantEvidence | undefined> {
  const absent = new Set<Family>()
  const evidence = await evidenceIn(savedLines({ ...probe, variant, absent }), hints)
  return absent.size === FAMILIES.length ? undefined : evidence
}

interface SavedRequest extends Probe {
  readonly variant: Variant
  /** Is told the families that are not installed, or that the kernel does not have. */
  readonly absent: Set<Family>
}

async function* savedLines({ commands, folder, limits, variant, absent }: SavedRequest): AsyncGenerator<string> {
  for (const family of FAMILIES) {
    const { save } = executablesOf({ family, variant, folder })
    try {
      // Without a table's name, legacy lists the tables that are there and makes none.
      yield* linesOf({
        start: (onOutput) => commands.run({ argv: [save], onOutput, ...limits }),
        stop: () => undefined,
      })
    } catch (error) {
      if (!(error instanceof IptablesError) || !ABSENT.has(error.code)) throw error
      absent.add(family)
    }
  }
}

const ABSENT: ReadonlySet<IptablesErrorCode> = new Set(['NOT_FOUND', 'NO_KERNEL_SUPPORT'])

interface TableMethodsOptions {
  readonly commands: Commands
  readonly executables: Executables
  readonly capabilities: Capabilities
  readonly family: Family
  readonly waitSeconds: number
  readonly timeoutMs: number | undefined
  readonly lockFile: string
}

/** Everything of Iptables that runs a command, for one family and what is installed. */
export function tableMethods(options: TableMethodsOptions): Omit<Iptables, 'family' | 'capabilities' | 'choice'> {
  const { commands, executables, capabilities, family, lockFile } = options

  const limited = (limits: Limits | undefined): Limits => ({ timeoutMs: options.timeoutMs, ...limits })

  const change = (args: readonly string[], limits: Limits | undefined): Promise<unknown> =>
    commands.run({ argv: waiting(args), ...limited(limits) })

  const waiting = (args: readonly string[]): readonly string[] => {
    const { iptables } = executables
    if (capabilities.waitSeconds) return [iptables, '-w', String(options.waitSeconds), ...args]
    if (capabilities.wait) return [iptables, '-w', ...args]
    return underXtablesLock([iptables, ...args], { file: lockFile, waitSeconds: options.waitSeconds })
  }

  const hasTable = async (table: string, { timeoutMs, signal }: Limits): Promise<boolean> => {
    const names = `/proc/net/${family === 'IPv4' ? 'ip' : 'ip6'}_tables_names`
    try {
      const listed = await commands.run({ argv: ['cat', names], timeoutMs, signal })
      return listed.stdout.split('\n').includes(table)
    } catch (error) {
      // The kernel has the list once something of ip_tables is loaded.
      if (error instanceof IptablesError && error.stderr.includes('No such file or directory')) return false
      throw error
    }
  }

  const saveInto = async ({ table, counters, ...request }: SaveOptions & Omit<RunRequest, 'argv'>): Promise<string> => {
    if (table !== undefined && capabilities.variant === 'legacy' && !(await hasTable(table, request))) return ''
    const argv = [executables.save, ...(counters === true ? ['-c'] : []), ...(table === undefined ? [] : ['-t', table])]
    return (await commands.run({ argv, ...request })).stdout
  }

  const save: Iptables['save'] = (what, limits) => saveInto({ ...what, ...limited(limits) })

  const saveLines: Iptables['saveLines'] = (what, limits) => {
    const stopping = new AbortController()
    const { signal, timeoutMs } = limited(limits)
    const either = signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal])
    return linesOf({
      start: (onOutput) => saveInto({ ...what, onOutput, timeoutMs, signal: either }),
      stop: () => stopping.abort(),
    })
  }

  const checkRule: Iptables['checkRule'] = async (rule, limits) => {
    if (!capabilities.check) return isRuleInSave(await save({ table: rule.table }, limits), rule)
    return unless(['NO_SUCH_RULE', 'NO_SUCH_CHAIN'], change(ruleWords('-C', rule), limits))
  }

  const restoreWords = ({ flush, counters, waitSeconds = options.waitSeconds }: RestoreOptions): readonly string[] => {
    const words = [executables.restore, ...(flush ? [] : ['--noflush']), ...(counters ? ['--counters'] : [])]
    checkWaitSeconds(waitSeconds)
    if (capabilities.restoreWait) return [...words, `--wait=${waitSeconds}`]
    return underXtablesLock(words, { file: lockFile, waitSeconds })
  }

  const hasChain: Iptables['hasChain'] = async (place, limits) => {
    if (capabilities.variant === 'legacy' && !(await hasTable(place.table, limited(limits)))) return false
    return unless(['NO_SUCH_CHAIN'], change(chainWords('-S', place), limits))
  }

  return {
    hasChain,
    ensureChain: async (place, limits) => ({
      existed: !(await unless(['CHAIN_EXISTS'], change(chainWords('-N', place), limits))),
    }),
    flushChain: async (place, limits) => void (await change(chainWords('-F', place), limits)),
    deleteChain: async (place, limits) => void (await change(chainWords('-X', place), limits)),
    ensureRule: async ({ position, ...rule }, limits) => {
      const existed = await checkRule(rule, limits)
      if (!existed) await change(ruleWords(position === 'prepend' ? '-I' : '-A', rule), limits)
      return { existed }
    },
    checkRule,
    deleteRule: async (rule, limits) => ({
      existed: await unless(['NO_SUCH_RULE', 'NO_SUCH_CHAIN'], change(ruleWords('-D', rule), limits)),
    }),
    save,
    saveLines,
    restore: async (request, limits) => {
      const argv = restoreWords(request)
      await commands.restore({ argv, source: restoreSource(request, request.tables), ...limited(limits) })
    },
  }
}

const chainWords = (command: string, { table, chain }: ChainPlace): readonly string[] => ['-t', table, command, chain]

const ruleWords = (command: string, { rule, ...place }: RulePlace): readonly string[] => [
  ...chainWords(command, place),
  ...rule,
]
