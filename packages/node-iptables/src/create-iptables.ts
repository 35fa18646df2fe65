import { capabilitiesOf } from './capabilities.js'
import type { Capabilities, Variant } from './capabilities.js'
import { commandsOf } from './commands.js'
import type { Commands } from './commands.js'
import { chooseVariant, evidenceIn } from './detect-variant.js'
import type { VariantChoice, VariantEvidence, VariantHints } from './detect-variant.js'
import { checkFamily, executablesOf } from './executables.js'
import type { Executables, Family } from './executables.js'
import { IptablesError } from './iptables-error.js'
import type { IptablesErrorCode } from './iptables-error.js'
import type { Iptables, Limits } from './iptables.js'
import { linesOf } from './lines-of.js'
import { runProcess } from './run-process.js'
import type { Run } from './run-process.js'
import { tableMethods } from './table-methods.js'
import { checkWaitSeconds } from './xtables-lock.js'

export interface IptablesOptions {
  /** One object serves one family. */
  readonly family: Family
  /** `auto`: by `hints` when given, otherwise whatever `iptables` is on this node. Default: `auto`. */
  readonly variant?: 'auto' | Variant | undefined
  /** What tells which variant others use. Counts with `auto` alone. */
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
   * Default: `/run/xtables.lock`. Passed on as XTABLES_LOCKFILE, which 1.8.9 heeds; an old version that does not locks
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
   * did, such a restore is told by its having a version at all; others complain, and end with their empty input.
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
