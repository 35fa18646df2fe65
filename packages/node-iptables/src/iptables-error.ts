/** What can go wrong with iptables, and what to do about it. A code is a contract: codes are added, not renamed. */
export const IPTABLES_ERRORS = {
  NOT_FOUND: 'the executable is not there: install iptables, or name the folder that it is in',
  CANNOT_START: 'the executable cannot be started: look at its permissions and at the limits of this process',
  UNKNOWN_VERSION: '`--version` printed something else than the version of an iptables: name the right executable',
  NO_PERMISSION: 'the kernel refuses: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW',
  NO_KERNEL_SUPPORT: 'the kernel lacks the table, match, target or object: load its module, or make the object first',
  LOCK_HELD: 'another program holds the xtables lock: wait longer, or end that program',
  NO_SUCH_CHAIN: 'no chain, target or match by that name: make the chain first, or check the spelling',
  NO_SUCH_RULE: 'no such rule in that chain',
  CHAIN_EXISTS: 'the chain is already there',
  CHAIN_IN_USE: 'the chain is jumped to, or has rules: delete the jumps and flush it first',
  UNKNOWN_OPTION: 'this version of iptables does not know an option: look at its version and the spelling',
  BAD_ARGUMENT: 'iptables refuses an argument: its own words say which',
  RESTORE_FAILED: 'the restore was refused: look at the line and its neighbours; that table is as it was',
  FAILED: 'iptables failed: its own words say why',
  MONITOR_ENDED:
    'the monitor of changes ended or did not start; it is started again, and until then no commit is heard of',
  OUTPUT_TOO_LONG: 'more output than the limit: raise maxOutputBytes, or read it line by line',
  TIMED_OUT: 'it took longer than timeoutMs and was ended: raise the limit, or look at what it waits for',
  ABORTED: 'the caller ended it',
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
