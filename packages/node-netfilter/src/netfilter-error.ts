import { getSystemErrorName } from 'node:util'

/** What can go wrong with netlink, and what to do about it. A code is a contract: codes are added, not renamed. */
export const NETFILTER_ERRORS = {
  CANNOT_LOAD:
    'netlink cannot be used from this process: it needs Linux, and the binary that koffi brings for this CPU',
  NO_PERMISSION:
    'permission denied: run as root, or with CAP_NET_ADMIN in the user namespace of this network namespace',
  NO_KERNEL_SUPPORT: 'the kernel lacks this part of netfilter: load its module (nf_tables, nf_conntrack_netlink)',
  TIMED_OUT: 'no whole answer came within timeoutMs: raise the limit, or try again',
  ABORTED: 'aborted by the caller',
  CHANGED: 'another process changed nf_tables during the call: read again',
  FAILED: 'the kernel refused: see errno',
} as const

export type NetfilterErrorCode = keyof typeof NETFILTER_ERRORS

export interface NetfilterErrorDetails {
  /** What was tried, as a noun: `GETGEN`, `netlink socket`. */
  readonly operation: string
  /** The kernel's number, positive. Undefined where the kernel was not asked. */
  readonly errno?: number | undefined
  /** What else is known, for the message. */
  readonly detail?: string | undefined
}

/** The kernel did not do what was asked. Match on `code`, and on `errnoName` with FAILED; the message is for people. */
export class NetfilterError extends Error {
  override readonly name = 'NetfilterError'
  readonly code: NetfilterErrorCode
  readonly operation: string
  readonly errno: number | undefined
  /** `EPERM` for 1. */
  readonly errnoName: string | undefined

  constructor(code: NetfilterErrorCode, { operation, errno, detail }: NetfilterErrorDetails, options?: ErrorOptions) {
    const errnoName = errno === undefined ? undefined : getSystemErrorName(-errno)
    const known = [errnoName, detail].filter((part) => part !== undefined)
    super(`${operation}: ${NETFILTER_ERRORS[code]}${known.length === 0 ? '' : ` (${known.join(': ')})`}`, options)
    this.code = code
    this.operation = operation
    this.errno = errno
    this.errnoName = errnoName
  }
}

/** The error for a kernel's answer, or for a system call that failed, whatever was asked. */
export function errorOfErrno(operation: string, errno: number, detail?: string): NetfilterError {
  return new NetfilterError(CODES[getSystemErrorName(-errno)] ?? 'FAILED', { operation, errno, detail })
}

const CODES: { readonly [errnoName: string]: NetfilterErrorCode } = {
  EPERM: 'NO_PERMISSION',
  EACCES: 'NO_PERMISSION',
  EPROTONOSUPPORT: 'NO_KERNEL_SUPPORT',
  EAFNOSUPPORT: 'NO_KERNEL_SUPPORT',
}
