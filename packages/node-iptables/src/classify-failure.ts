import type { IptablesErrorCode } from './iptables-error.js'

/** The code for what a failed iptables, save or restore said. Tried on 1.8.9; older spellings are of 1.4 and 1.6. */
export function classifyFailure({ exitCode, stderr }: FailedRun): IptablesErrorCode {
  const said = firstStep(stderr)
  const known = BY_MESSAGE.find(({ pattern }) => pattern.test(said))
  if (known !== undefined) return known.code
  return exitCode === PARAMETER_PROBLEM ? 'BAD_ARGUMENT' : 'FAILED'
}

export interface FailedRun {
  readonly exitCode: number | null
  readonly stderr: string
}

const PARAMETER_PROBLEM = 2

/** nft lists each step that the kernel refused, with its line; those after the first may be its consequences. */
function firstStep(stderr: string): string {
  const [first, second] = stderr.matchAll(/^line \d+: /gm)
  return first === undefined || second === undefined ? stderr : stderr.slice(0, second.index)
}

// The first that fits counts: a held lock comes with "Resource temporarily unavailable", a missing table with advice.
const BY_MESSAGE: readonly { readonly pattern: RegExp; readonly code: IptablesErrorCode }[] = [
  // ip-netns, flock, setpriv and nsenter, where they stand before the command.
  { pattern: /(?:^exec of "[^"]*" failed|failed to execute .*): No such file or directory/m, code: 'NOT_FOUND' },
  { pattern: /holding the xtables lock|xtables\.lock: Resource temporarily unavailable/, code: 'LOCK_HELD' },
  { pattern: /you must be root|Permission denied|Operation not permitted/i, code: 'NO_PERMISSION' },
  // The jumps would go round.
  { pattern: /RULE_\w+ failed \(Too many links/, code: 'FAILED' },
  { pattern: /Too many links|Directory not empty|CHAIN_(?:USER_)?DEL failed \(Device/, code: 'CHAIN_IN_USE' },
  { pattern: /Chain already exists|CHAIN_(?:USER_)?ADD failed \(File exists\)/, code: 'CHAIN_EXISTS' },
  { pattern: /does a matching rule exist|RULE_DELETE failed \(No such file/, code: 'NO_SUCH_RULE' },
  { pattern: /Index of \w+ too big/, code: 'NO_SUCH_RULE' },
  { pattern: /RULE_\w+ failed \((?:No such file or directory|Operation not supported)/, code: 'NO_KERNEL_SUPPORT' },
  { pattern: /missing kernel module|kernel needs to be upgraded|Protocol not supported/, code: 'NO_KERNEL_SUPPORT' },
  // What a kernel without nf_tables answers.
  { pattern: /rule set generation id: Invalid argument/, code: 'NO_KERNEL_SUPPORT' },
  { pattern: /table name '[^']*' invalid|unable to initialize table/, code: 'NO_KERNEL_SUPPORT' },
  { pattern: /Table (?:`[^']*' )?does not exist|Set \S+ doesn't exist/, code: 'NO_KERNEL_SUPPORT' },
  { pattern: /No chain\/target\/match by that name|Chain '[^']*' does not exist/, code: 'NO_SUCH_CHAIN' },
  // What `iptables-nft -S` and `-L` of 1.8.9 say of a chain that is not there.
  { pattern: /chain [`'][^']*' in table [`'][^']*' is incompatible/, code: 'NO_SUCH_CHAIN' },
  { pattern: /Couldn't load (?:target|match)/, code: 'NO_SUCH_CHAIN' },
  { pattern: /[Uu]nknown option|unrecognized option|invalid option|Unknown arg/, code: 'UNKNOWN_OPTION' },
]
