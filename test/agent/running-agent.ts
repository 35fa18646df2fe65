import { spawn } from 'node:child_process'
import { POINTSMAN } from '../support/run-pointsman.js'

/** An agent that runs as a process of its own. */
export interface RunningAgent {
  /** What it has said so far. */
  readonly said: () => string
  /** Waits until a line that it said matches; fails when it ends before, or after half a minute. */
  readonly hasSaid: (line: RegExp) => Promise<void>
  /** Of its process. */
  readonly pid: number
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>
}

export interface AgentPlace {
  /** Words before the command. */
  readonly prefix?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts `pointsman run` (`tsc -b` must have been run). */
export function startAgent(args: readonly string[], { prefix = [], env = {} }: AgentPlace = {}): RunningAgent {
  const [program = '', ...words] = [...prefix, process.execPath, POINTSMAN, 'run', ...args]
  const child = spawn(program, words, {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  const waiting = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      for (const look of waiting) look()
    })
  }
  const ended = new Promise<Awaited<RunningAgent['ended']>>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal }))
  })
  return {
    said: () => said,
    pid: child.pid ?? 0,
    signal: (signal) => void child.kill(signal),
    ended,
    hasSaid: (line) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!line.test(said)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        const tooLong = (): void => reject(new Error(`the agent has not said ${String(line)}:\n${said}`))
        setTimeout(tooLong, PATIENCE_MS).unref()
        void ended.then(() => reject(new Error(`the agent ended and never said ${String(line)}:\n${said}`)))
        look()
      }),
  }
}

const PATIENCE_MS = 30_000
