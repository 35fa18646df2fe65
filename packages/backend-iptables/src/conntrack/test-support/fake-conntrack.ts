import type { Run, RunRequest, RunResult } from 'node-iptables'
import type { Flow } from '../flow.js'
import { flowLine, flowOf, flowText } from './flow-text.js'

/** conntrack(8) 1.4.7 as far as it is asked for here: `-L` and `-D` by destination, target and zone. */
export interface FakeConntrack {
  readonly run: Run
  /** The flows that are there, in few words. */
  readonly flows: () => readonly string[]
  readonly add: (...flows: readonly string[]) => void
  /** What was run, without what all of them have. */
  readonly commands: readonly string[]
  /** Runs before a command; what it gives is the result instead, and what it throws the failure. */
  intercept: (args: string) => Promise<Partial<RunResult> | undefined> | undefined
}

export function fakeConntrack(...initial: readonly string[]): FakeConntrack {
  let flows: readonly Flow[] = initial.map(flowOf)
  const commands: string[] = []

  const list = async ({ onOutput }: RunRequest, args: readonly string[]): Promise<Outcome> => {
    const shown = flows.filter((flow) => isOf(flow, args))
    const text = shown.map((flow) => `${flowLine(flow)}\n`).join('')
    // In pieces that end anywhere.
    for (let at = 0; at < text.length; at += 100) await onOutput?.(text.slice(at, at + 100))
    return { exitCode: 0, stderr: summary(shown.length, 'shown') }
  }

  const remove = (args: readonly string[]): Outcome => {
    const kept = flows.filter((flow) => !isOf(flow, args))
    const deleted = flows.length - kept.length
    flows = kept
    return { exitCode: deleted > 0 ? 0 : 1, stderr: summary(deleted, 'deleted') }
  }

  const fake: FakeConntrack = {
    run: async (request) => {
      const { argv } = request
      const args = argv.slice(argv.indexOf('conntrack') + 1)
      commands.push(args.join(' '))
      const instead = await fake.intercept(args.join(' '))
      const outcome = instead ?? (args[0] === '-L' ? await list(request, args) : remove(args))
      return { argv, signal: null, stdout: '', exitCode: 0, stderr: '', ...outcome }
    },
    flows: () => flows.map(flowText),
    add: (...more) => void (flows = [...flows, ...more.map(flowOf)]),
    commands,
    intercept: () => undefined,
  }
  return fake
}

type Outcome = Pick<RunResult, 'exitCode' | 'stderr'>

function isOf({ family, protocol, zone, original, reply }: Flow, args: readonly string[]): boolean {
  const is: { readonly [option: string]: string | number } = {
    '-f': family === 'IPv4' ? 'ipv4' : 'ipv6',
    '-p': protocol,
    '-w': zone,
    '-o': 'extended',
    '--orig-dst': original.dst,
    '--orig-port-dst': original.dport,
    '--reply-src': reply.src,
    '--reply-port-src': reply.sport,
  }
  return args.every((option, at) => {
    if (!option.startsWith('-') || at === 0) return true
    const value = is[option]
    if (value === undefined) throw new Error(`the fake does not know ${option}`)
    return String(value) === args[at + 1]
  })
}

const summary = (count: number, done: string): string =>
  `conntrack v1.4.7 (conntrack-tools): ${count} flow entries have been ${done}.\n`
