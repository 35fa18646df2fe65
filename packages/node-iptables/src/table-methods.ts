import type { Capabilities } from './capabilities.js'
import { unless } from './commands.js'
import type { Commands } from './commands.js'
import type { Executables, Family } from './executables.js'
import type { ChainPlace, Iptables, Limits, RestoreOptions, RulePlace, SaveOptions } from './iptables.js'
import { IptablesError } from './iptables-error.js'
import { linesOf } from './lines-of.js'
import { restoreSource } from './restore-input.js'
import { isRuleInSave } from './rule-in-save.js'
import type { RunRequest } from './run-process.js'
import { checkWaitSeconds, underXtablesLock } from './xtables-lock.js'

export interface TableMethodsOptions {
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
