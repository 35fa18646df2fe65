import type { ConntrackRun, ConntrackRunResult, RunConntrack } from '../../io/conntrack/conntrack-commands.js'
import type { Flow } from '../stale-flows.js'
import { flowLine, flowOf, flowText } from './flow-text.js'

/** conntrack(8) 1.4.7 as far as it is asked for here: `-L` and `-D` by destination, target and zone. */
export interface FakeConntrack {
  readonly run: RunConntrack
  /** The flows that are there, in few words. */
  readonly flows: () => readonly string[]
  readonly add: (...flows: readonly string[]) => void
  /** What was run, without what all of them have. */
  readonly commands: readonly string[]
  /** Runs before a command; what it gives is the result instead, and what it throws the failure. */
  intercept: (args: string) => Promise<Partial<ConntrackRunResult> | undefined> | undefined
}

export function fakeConntrack(...initial: readonly string[]): FakeConntrack {
  let flows: readonly Flow[] = initial.map(flowOf)
  const commands: string[] = []

  const list = ({ onOutput }: ConntrackRun, args: readonly string[]): Outcome => {
    const shown = flows.filter((flow) => isOf(flow, args))
    const text = shown.map((flow) => `${flowLine(flow)}\n`).join('')
    // In pieces that end anywhere.
    for (let at = 0; at < text.length; at += 100) onOutput?.(text.slice(at, at + 100))
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
      const outcome = instead ?? (args[0] === '-L' ? list(request, args) : remove(args))
      return { argv, exitCode: 0, stderr: '', ...outcome }
    },
    flows: () => flows.map(flowText),
    add: (...more) => void (flows = [...flows, ...more.map(flowOf)]),
    commands,
    intercept: () => undefined,
  }
  return fake
}

type Outcome = Pick<ConntrackRunResult, 'exitCode' | 'stderr'>

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
