import { IptablesError } from 'node-iptables'

/** What can go wrong with conntrack(8), and what to do about it. */
export const CONNTRACK_ERRORS = {
  NOT_FOUND: 'conntrack is not there, so that UDP clients may go on to endpoints that are gone: install it',
  NO_PERMISSION: 'the kernel refuses: run as root, or with CAP_NET_ADMIN',
  NO_KERNEL_SUPPORT: 'the kernel cannot list its flows: load the module nf_conntrack_netlink',
  TIMED_OUT: 'it took longer than timeoutMs and was ended: raise the limit',
  ABORTED: 'the caller ended it',
  FAILED: 'conntrack failed: its own words say why',
} as const

export type ConntrackErrorCode = keyof typeof CONNTRACK_ERRORS

/** conntrack(8) did not do what was asked. Match on `code`; the message is for people, and says what to do next. */
export class ConntrackError extends Error {
  override readonly name = 'ConntrackError'
  readonly code: ConntrackErrorCode
  readonly argv: readonly string[]
  /** Undefined where the process did not start, or was ended by a signal. */
  readonly exitCode: number | undefined
  readonly stderr: string

  constructor(
    code: ConntrackErrorCode,
    { argv, exitCode, stderr = '' }: ConntrackErrorDetails,
    options?: ErrorOptions,
  ) {
    const said = stderr.trim().split('\n')[0] ?? ''
    super(`${argv.join(' ')}: ${CONNTRACK_ERRORS[code]}${said === '' ? '' : `; ${said}`}`, options)
    this.code = code
    this.argv = argv
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

export interface ConntrackErrorDetails {
  readonly argv: readonly string[]
  readonly exitCode?: number | undefined
  readonly stderr?: string | undefined
}

/** What running a process failed with, as a ConntrackError; anything else is a bug and is given back as it is. */
export function toConntrackError(cause: unknown): unknown {
  if (!(cause instanceof IptablesError)) return cause
  const { argv, exitCode, stderr } = cause
  return new ConntrackError(RUN_CODES.get(cause.code) ?? 'FAILED', { argv, exitCode, stderr }, { cause })
}

/** The code for what a conntrack that failed said. Tried on 1.4.7. */
export const conntrackErrorCode = (stderr: string): ConntrackErrorCode =>
  BY_MESSAGE.find(({ pattern }) => pattern.test(stderr))?.code ?? 'FAILED'

const RUN_CODES: ReadonlyMap<string, ConntrackErrorCode> = new Map([
  ['NOT_FOUND', 'NOT_FOUND'],
  ['TIMED_OUT', 'TIMED_OUT'],
  ['ABORTED', 'ABORTED'],
])

const BY_MESSAGE: readonly { readonly pattern: RegExp; readonly code: ConntrackErrorCode }[] = [
  // ip-netns, setpriv and nsenter, where they stand before the command.
  { pattern: /(?:^exec of "[^"]*" failed|failed to execute .*): No such file or directory/m, code: 'NOT_FOUND' },
  { pattern: /you must be root|Operation not permitted|Permission denied/, code: 'NO_PERMISSION' },
  { pattern: /Can't open handler|Protocol not supported/, code: 'NO_KERNEL_SUPPORT' },
]
