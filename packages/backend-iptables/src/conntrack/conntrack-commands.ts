import type { IpFamily } from '@pointsman/core'
import type { Run, RunRequest, RunResult } from 'node-iptables'
import { ConntrackError, conntrackErrorCode, toConntrackError } from './conntrack-error.js'
import type { Flow } from './flow.js'
import { parseConntrack } from './parse-conntrack.js'

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

/** conntrack(8). Every method fails with a ConntrackError. */
export interface ConntrackCommands {
  /** Hands over each UDP flow of a family as it is read; the listing is never held whole. */
  readonly listFlows: (family: IpFamily, onFlow: (flow: Flow) => void, signal?: AbortSignal) => Promise<void>
  /** Deletes a group, and answers how many flows that were. None: they were gone already. */
  readonly deleteFlows: (group: FlowGroup, signal?: AbortSignal) => Promise<number>
}

export interface ConntrackCommandsOptions {
  readonly run: Run
  /** Words before every command: `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[] | undefined
  /** Default: `conntrack`, where PATH leads. */
  readonly executable?: string | undefined
  /** For one command. Default: 30 seconds. */
  readonly timeoutMs?: number | undefined
}

export function conntrackCommands(options: ConntrackCommandsOptions): ConntrackCommands {
  const { run, prefix = [], executable = 'conntrack', timeoutMs = 30_000 } = options

  const attempt = async (args: readonly string[], request: Omit<RunRequest, 'argv'>): Promise<RunResult> => {
    try {
      return await run({ argv: [...prefix, executable, ...args], timeoutMs, ...request })
    } catch (error) {
      throw toConntrackError(error)
    }
  }

  return {
    async listFlows(family, onFlow, signal) {
      const reader = lineReader((line) => {
        const flow = parseConntrack(line)
        if (flow?.protocol === 'udp') onFlow(flow)
      })
      const args = ['-L', '-f', FAMILY_NAMES[family], '-p', 'udp', '-o', 'extended']
      const result = await attempt(args, { onOutput: reader.take, signal })
      if (result.exitCode !== 0) throw failureOf(result)
      reader.end()
    },

    async deleteFlows(group, signal) {
      // What was deleted is printed again: the count on standard error is enough.
      const result = await attempt(['-D', ...deletionArgs(group)], { onOutput: () => undefined, signal })
      const deleted = deletedCount(result.stderr)
      // It ends with 1 when there was nothing to delete.
      if (deleted === undefined || (result.exitCode !== 0 && deleted > 0)) throw failureOf(result)
      return deleted
    },
  }
}

/**
 * The target is a part of what is matched: a flow that went and came again by the new rules in the meantime stays. One
 * command for all flows of a group, because each reads the kernel's whole table (0.2 seconds for 100,000 flows).
 */
function deletionArgs({ family, zone, address, port, targetAddress, targetPort }: FlowGroup): readonly string[] {
  const place = `-f ${FAMILY_NAMES[family]} -p udp -w ${zone} --orig-dst ${address} --orig-port-dst ${port}`
  return `${place} --reply-src ${targetAddress} --reply-port-src ${targetPort}`.split(' ')
}

const FAMILY_NAMES = { IPv4: 'ipv4', IPv6: 'ipv6' } as const

/** `conntrack v1.4.7 (conntrack-tools): 2 flow entries have been deleted.` */
function deletedCount(stderr: string): number | undefined {
  const digits = /(\d+) flow entries have been deleted/.exec(stderr)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

const failureOf = ({ argv, exitCode, stderr }: RunResult): ConntrackError =>
  new ConntrackError(conntrackErrorCode(stderr), { argv, exitCode: exitCode ?? undefined, stderr })

/** Cuts pieces of any size into lines. */
function lineReader(onLine: (line: string) => void): { take: (piece: string) => void; end: () => void } {
  let rest = ''
  return {
    take: (piece) => {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    },
    end: () => {
      if (rest !== '') onLine(rest)
    },
  }
}
