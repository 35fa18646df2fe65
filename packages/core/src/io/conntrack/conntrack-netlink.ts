import {
  ConntrackError,
  type ConntrackErrorCode,
  type Flow,
  type FlowTable,
  type FlowTuple,
} from '../../conntrack/stale-flows.js'

/** `listFlows` and `deleteFlows` of node-netfilter. They fail with an Error that has a `code` and an `operation`. */
export interface NetlinkConntrack {
  readonly listFlows: (
    filter: { readonly family: NetlinkFamily; readonly protocol: number },
    onFlow: (flow: NetlinkFlow) => void,
    options: NetlinkCallOptions,
  ) => Promise<void>
  readonly deleteFlows: (flows: Iterable<NetlinkFlow>, options: NetlinkCallOptions) => Promise<number>
}

type NetlinkFamily = 'ipv4' | 'ipv6'

interface NetlinkFlow {
  readonly family: NetlinkFamily
  readonly protocol: number
  readonly zone: number
  readonly original: FlowTuple
  readonly reply: FlowTuple
}

interface NetlinkCallOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs: number
}

export interface ConntrackNetlinkOptions {
  readonly netlink: NetlinkConntrack
  /** Takes its place where this process cannot use netlink: `conntrackCommands`. */
  readonly otherwise: FlowTable
  /** For one call. Default: 30 seconds. */
  readonly timeoutMs?: number | undefined
}

/** The table of flows over netlink, without a process for each call. */
export function conntrackNetlink({ netlink, otherwise, timeoutMs = 30_000 }: ConntrackNetlinkOptions): FlowTable {
  const orOtherwise = async <Result>(work: Promise<Result>, instead: () => Promise<Result>): Promise<Result> => {
    let failure: NetlinkFailure
    try {
      return await work
    } catch (error) {
      if (!isNetlinkFailure(error)) throw error
      failure = error
    }
    if (NOT_FROM_HERE.has(failure.code)) return instead()
    throw toConntrackError(failure)
  }

  return {
    listFlows: ({ family, protocol }, onFlow, signal) => {
      const number = PROTOCOLS[protocol]
      if (number === undefined) return otherwise.listFlows({ family, protocol }, onFlow, signal)
      return orOtherwise(
        netlink.listFlows(
          { family: FAMILIES[family], protocol: number },
          ({ zone, original, reply }) => onFlow({ family, protocol, zone, original, reply }),
          { signal, timeoutMs },
        ),
        () => otherwise.listFlows({ family, protocol }, onFlow, signal),
      )
    },
    deleteFlows: (group, signal) =>
      orOtherwise(netlink.deleteFlows(group.flows.map(netlinkFlow), { signal, timeoutMs }), () =>
        otherwise.deleteFlows(group, signal),
      ),
  }
}

const netlinkFlow = ({ family, protocol, zone, original, reply }: Flow): NetlinkFlow => ({
  family: FAMILIES[family],
  protocol: PROTOCOLS[protocol] ?? 0,
  zone,
  original,
  reply,
})

const FAMILIES = { IPv4: 'ipv4', IPv6: 'ipv6' } as const
const PROTOCOLS: { readonly [protocol: string]: number | undefined } = { udp: 17 }

/** Codes of failures that say nothing of the flows: another way may do. */
const NOT_FROM_HERE: ReadonlySet<string> = new Set(['CANNOT_LOAD', 'NO_PERMISSION', 'NO_KERNEL_SUPPORT'])

interface NetlinkFailure extends Error {
  readonly code: string
  readonly operation: string
}

const isNetlinkFailure = (error: unknown): error is NetlinkFailure =>
  error instanceof Error && 'operation' in error && 'code' in error && typeof error.code === 'string'

function toConntrackError(cause: NetlinkFailure): ConntrackError {
  const code: ConntrackErrorCode = cause.code === 'TIMED_OUT' || cause.code === 'ABORTED' ? cause.code : 'FAILED'
  return new ConntrackError(code, { argv: ['netlink'], stderr: cause.message }, { cause })
}
