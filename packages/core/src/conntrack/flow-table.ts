import type { IpFamily } from '../model/address.js'

/** One end of a flow's two directions, as the kernel tracks it. Addresses in canonical spelling. */
export interface FlowTuple {
  readonly src: string
  readonly dst: string
  readonly sport: number
  readonly dport: number
}

/** A flow that the kernel's connection tracking knows. */
export interface Flow {
  readonly family: IpFamily
  /** In small letters, as conntrack(8) has it: `udp`. */
  readonly protocol: string
  /** The zone of both directions; 0 where there is none, or one direction alone has one. */
  readonly zone: number
  /** The packets of the side that began. */
  readonly original: FlowTuple
  /** What the answers to them are: their source is whatever the original destination was translated to. */
  readonly reply: FlowTuple
}

/** Whether the flow's packets go to another address or port than they were sent to. */
export const isTranslated = ({ original, reply }: Flow): boolean =>
  reply.src !== original.dst || reply.sport !== original.dport

/** The UDP flows of one family that were sent to one address and port, and go to one target, in one zone. */
export type FlowGroup = Pick<Flow, 'family' | 'zone'> & {
  readonly address: string
  readonly port: number
  readonly targetAddress: string
  readonly targetPort: number
}

export const groupOf = ({ family, zone, original, reply }: Flow): FlowGroup => ({
  family,
  zone,
  address: original.dst,
  port: original.dport,
  targetAddress: reply.src,
  targetPort: reply.sport,
})

/** Which flows to list. */
export type FlowFilter = Pick<Flow, 'family' | 'protocol'>

/**
 * The kernel's table of flows: conntrack(8) today, netlink as well as it. Every method fails with a ConntrackError alone,
 * or with a bug.
 */
export interface FlowTable {
  /** Hands over each flow as it is read; the listing is never held whole. */
  readonly listFlows: (filter: FlowFilter, onFlow: (flow: Flow) => void, signal?: AbortSignal) => Promise<void>
  /** Deletes a group, and answers how many flows that were. None: they were gone already. */
  readonly deleteFlows: (group: FlowGroup, signal?: AbortSignal) => Promise<number>
}

/** What can go wrong with the table of flows, and what to do about it. */
export const CONNTRACK_ERRORS = {
  NOT_FOUND: 'conntrack is not installed, so UDP clients may keep using removed endpoints: install it',
  NO_PERMISSION: 'permission denied: run as root, or with CAP_NET_ADMIN',
  NO_KERNEL_SUPPORT: 'the kernel cannot list flows: load the module nf_conntrack_netlink',
  TIMED_OUT: 'timed out after timeoutMs and was killed: raise the limit',
  ABORTED: 'aborted by the caller',
  FAILED: 'conntrack failed: see its message',
} as const

export type ConntrackErrorCode = keyof typeof CONNTRACK_ERRORS

/** The table of flows could not be read or changed. Match on `code`; the message is for people, and says what to do next. */
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
