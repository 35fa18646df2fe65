/** What can go wrong with iptables, and what to do about it. A code is a contract: codes are added, not renamed. */
export const IPTABLES_ERRORS = {
  NOT_FOUND: 'executable not found: install iptables, or give the directory it is in',
  CANNOT_START: 'the executable cannot be started: check its permissions and the limits of this process',
  UNKNOWN_VERSION: 'the output of `--version` is not an iptables version: give the right executable',
  NO_PERMISSION: 'permission denied: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW',
  NO_KERNEL_SUPPORT: 'the kernel lacks the table, match, target or object: load its module, or make the object first',
  LOCK_HELD: 'another program holds the xtables lock: wait longer, or stop that program',
  NO_SUCH_CHAIN: 'no chain, target or match by that name: create the chain first, or check the spelling',
  NO_SUCH_RULE: 'no such rule in that chain',
  CHAIN_EXISTS: 'the chain is already there',
  CHAIN_IN_USE: 'rules jump to the chain, or it has rules: delete the jumps and flush it first',
  UNKNOWN_OPTION: 'this version of iptables does not support an option: check the version and the spelling',
  BAD_ARGUMENT: 'iptables rejects an argument: see its message',
  RESTORE_FAILED: 'the restore was rejected: check the line and its neighbours; the table is unchanged',
  FAILED: 'iptables failed: see its message',
  MONITOR_ENDED:
    'the ruleset monitor exited or did not start: restarting it; until then no external change is detected',
  OUTPUT_TOO_LONG: 'output exceeds the limit: raise maxOutputBytes, or read it line by line',
  TIMED_OUT: 'timed out after timeoutMs and was killed: raise the limit, or check what it waits for',
  ABORTED: 'aborted by the caller',
} as const

export type IptablesErrorCode = keyof typeof IPTABLES_ERRORS

/** One line of what was to be restored. Numbers count from 1. */
export interface NumberedLine {
  readonly number: number
  readonly text: string
}

/** Where a restore failed: the line that iptables named, and up to two lines before and after it. */
export interface RestoreFailure {
  /** nft names the COMMIT's line for a missing jump target, and legacy for whatever the kernel refuses. */
  readonly line: NumberedLine
  readonly neighbours: readonly NumberedLine[]
}

/** Who has the xtables lock. */
export interface LockHolder {
  readonly pid: number
  /** The process's name as the kernel knows it, at most 15 characters. */
  readonly command: string
}

export interface IptablesErrorDetails {
  /** The command and its arguments, a prefix included. */
  readonly argv: readonly string[]
  /** Undefined where the process did not start, or was ended by a signal. */
  readonly exitCode?: number | undefined
  /** What it said: its first 65,536 characters. Default: nothing. */
  readonly stderr?: string | undefined
  /** What the operating system said, for the message. */
  readonly detail?: string | undefined
  /** Of a restore whose line iptables named. */
  readonly restore?: RestoreFailure | undefined
  /** With LOCK_HELD, where /proc shows it. */
  readonly lockHolder?: LockHolder | undefined
}

/** iptables did not do what was asked. Match on `code`; the message is for people, and says what to do next. */
export class IptablesError extends Error {
  override readonly name = 'IptablesError'
  readonly code: IptablesErrorCode
  readonly argv: readonly string[]
  readonly exitCode: number | undefined
  readonly stderr: string
  readonly restore: RestoreFailure | undefined
  readonly lockHolder: LockHolder | undefined

  constructor(code: IptablesErrorCode, details: IptablesErrorDetails, options?: ErrorOptions) {
    super(messageOf(code, details), options)
    this.code = code
    this.argv = details.argv
    this.exitCode = details.exitCode
    this.stderr = details.stderr ?? ''
    this.restore = details.restore
    this.lockHolder = details.lockHolder
  }
}

function messageOf(
  code: IptablesErrorCode,
  { argv, stderr, detail, restore, lockHolder }: IptablesErrorDetails,
): string {
  const said = stderr?.trim().split('\n')[0] ?? ''
  return [
    `${argv.join(' ')}: ${IPTABLES_ERRORS[code]}`,
    ...(lockHolder === undefined ? [] : [`held by ${lockHolder.command} (process ${lockHolder.pid})`]),
    ...(restore === undefined ? [] : [`line ${restore.line.number}: ${restore.line.text}`]),
    ...(detail === undefined ? [] : [detail]),
    ...(said === '' ? [] : [said]),
  ].join('; ')
}

/** The code for what a failed iptables, save or restore said. Tried on 1.8.9; older spellings are of 1.4 and 1.6. */
export function classifyFailure({ exitCode, stderr }: FailedRun): IptablesErrorCode {
  const said = firstStep(stderr)
  const known = BY_MESSAGE.find(({ pattern }) => pattern.test(said))
  if (known !== undefined) return known.code
  return exitCode === PARAMETER_PROBLEM ? 'BAD_ARGUMENT' : 'FAILED'
}

interface FailedRun {
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

/** The line that a failed restore's standard error names, from 1. Undefined: it names none. */
export function failedLineOf(stderr: string): number | undefined {
  const found = LINE_SPELLINGS.map((spelling) => spelling.exec(stderr)?.[1]).find((number) => number !== undefined)
  return found === undefined ? undefined : Number(found)
}

/** That line and its neighbours. Undefined where the input has no such line. `pieces` together are the text. */
export async function restoreFailureAt(
  number: number,
  pieces: AsyncIterable<string>,
): Promise<RestoreFailure | undefined> {
  const around = await linesBetween({ pieces, first: number - REACH, last: number + REACH })
  const line = around.find((line) => line.number === number)
  return line === undefined ? undefined : { line, neighbours: around.filter((other) => other !== line) }
}

const REACH = 2

// iptables-restore and the extensions each have their own way to say where; the most precise comes first.
const LINE_SPELLINGS = [
  /^line (\d+): /m,
  /line (\d+) failed/,
  /Error occurred at line: (\d+)/,
  /expected at line (\d+)/,
  /\bline:? (\d+)\b/,
]

interface Stretch {
  readonly pieces: AsyncIterable<string>
  readonly first: number
  readonly last: number
}

async function linesBetween({ pieces, first, last }: Stretch): Promise<readonly NumberedLine[]> {
  const lines: NumberedLine[] = []
  let number = 1
  let text = ''
  for await (const piece of pieces) {
    const [head = '', ...rest] = piece.split('\n')
    text += head
    for (const next of rest) {
      if (number >= first && number <= last) lines.push({ number, text })
      if (number >= last) return lines
      number += 1
      text = next
    }
  }
  if (text !== '' && number >= first) lines.push({ number, text })
  return lines
}
