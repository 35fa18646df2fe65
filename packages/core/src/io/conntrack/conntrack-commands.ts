import {
  ConntrackError,
  type ConntrackErrorCode,
  type Flow,
  type FlowGroup,
  type FlowTable,
  type FlowTuple,
} from '../../conntrack/stale-flows.js'
import { parseAddress, type IpFamily } from '../../model/address.js'

/** One command to run. Its standard output goes to `onOutput`, in pieces of any size. */
export interface ConntrackRun {
  readonly argv: readonly string[]
  readonly timeoutMs?: number | undefined
  readonly onOutput?: ((piece: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ConntrackRunResult {
  readonly argv: readonly string[]
  /** Null where a signal ended the process. */
  readonly exitCode: number | null
  readonly stderr: string
}

/**
 * Runs a command to its end: a failing exit status is a result. Fails, where it did not start or was ended, with an Error
 * that has `argv` and a `code`: NOT_FOUND, TIMED_OUT, ABORTED or another.
 */
export type RunConntrack = (request: ConntrackRun) => Promise<ConntrackRunResult>

export interface ConntrackCommandsOptions {
  /** How processes are started: `runProcess` of node-iptables. */
  readonly run: RunConntrack
  /** Words before every command: `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[] | undefined
  /** Default: `conntrack`, where `run` finds it. */
  readonly executable?: string | undefined
  /** For one command. Default: 30 seconds. */
  readonly timeoutMs?: number | undefined
}

/** The table of flows by conntrack(8), a process for each call. */
export function conntrackCommands(options: ConntrackCommandsOptions): FlowTable {
  const { run, prefix = [], executable = 'conntrack', timeoutMs = 30_000 } = options

  const attempt = async (args: readonly string[], request: Omit<ConntrackRun, 'argv'>): Promise<ConntrackRunResult> => {
    try {
      return await run({ argv: [...prefix, executable, ...args], timeoutMs, ...request })
    } catch (error) {
      throw toConntrackError(error)
    }
  }

  return {
    async listFlows({ family, protocol }, onFlow, signal) {
      const reader = lineReader((line) => {
        const flow = parseConntrack(line)
        if (flow?.protocol === protocol) onFlow(flow)
      })
      const args = ['-L', '-f', FAMILY_NAMES[family], '-p', protocol, '-o', 'extended']
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

const failureOf = ({ argv, exitCode, stderr }: ConntrackRunResult): ConntrackError =>
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

/** What running a process failed with, as a ConntrackError; anything else is a bug and is given back as it is. */
function toConntrackError(cause: unknown): unknown {
  if (!isRunFailure(cause)) return cause
  const { argv, exitCode, stderr } = cause
  return new ConntrackError(RUN_CODES.get(cause.code) ?? 'FAILED', { argv, exitCode, stderr }, { cause })
}

/** The code for what a conntrack that failed said. Tried on 1.4.7. */
const conntrackErrorCode = (stderr: string): ConntrackErrorCode =>
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

interface RunFailure extends Error {
  readonly code: string
  readonly argv: readonly string[]
  readonly exitCode?: number | undefined
  readonly stderr?: string | undefined
}

const isRunFailure = (cause: unknown): cause is RunFailure =>
  cause instanceof Error && 'argv' in cause && 'code' in cause && typeof cause.code === 'string'

/**
 * Reads one line of `conntrack -L -o extended`, of a protocol with ports. Undefined for every other line: those of other
 * protocols, of other forms of output, and of versions to come that put things otherwise.
 *
 *     ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=4000 dport=53 src=10.244.1.5 dst=10.0.1.2 sport=53 dport=4000 [ASSURED] mark=0 use=1
 */
export function parseConntrack(line: string): Flow | undefined {
  // A node may have a million flows: one expression reads the whole line.
  const groups = LINE.exec(line)
  if (groups === null) return undefined
  const [, number, protocol = '', src, dst, sport, dport, replySrc, replyDst, replySport, replyDport, rest = ''] =
    groups
  const family: IpFamily = number === '4' ? 'IPv4' : 'IPv6'
  const original = tupleOf(family, { src, dst, sport, dport })
  const reply = tupleOf(family, { src: replySrc, dst: replyDst, sport: replySport, dport: replyDport })
  if (original === undefined || reply === undefined || rest.includes(' src=')) return undefined
  return { family, protocol, zone: Number(ZONE.exec(rest)?.[1] ?? 0), original, reply }
}

const TUPLE = String.raw`src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)`
// Between the two directions and behind them: counters, zones, flags.
const LINE = new RegExp(String.raw`^ipv([46]) +\d+ +(\S+) +\d+ .*?\b${TUPLE} .*?\b${TUPLE}(.*)$`)
const ZONE = / zone=(\d+)/

type TupleTexts = { readonly [field in keyof FlowTuple]: string | undefined }

function tupleOf(family: IpFamily, texts: TupleTexts): FlowTuple | undefined {
  const src = addressIn(texts.src, family)
  const dst = addressIn(texts.dst, family)
  const [sport, dport] = [Number(texts.sport), Number(texts.dport)]
  if (src === undefined || dst === undefined || sport > LAST_PORT || dport > LAST_PORT) return undefined
  return { src, dst, sport, dport }
}

const LAST_PORT = 65_535

function addressIn(text: string | undefined, family: IpFamily): string | undefined {
  const address = text === undefined ? undefined : parseAddress(text)
  return address?.family === family ? address.text : undefined
}
