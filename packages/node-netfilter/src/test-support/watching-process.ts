import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** What watch-and-print.ts prints. */
export interface PrintedLine {
  readonly type: 'ready' | 'generation' | 'missed' | 'now' | 'holding' | 'ended' | 'failed'
  readonly [name: string]: unknown
}

export interface WatchingProcess {
  /** The next line that it prints; fails when it has ended. */
  next(): Promise<PrintedLine>
  /** A line for its standard input. */
  say(line: string): void
  /** Its exit status. */
  readonly exit: Promise<number | null>
  kill(): void
}

/** Starts watch-and-print.ts, as it was built, behind the words of a prefix: a namespace is entered by a process. */
export function startWatching(prefix: readonly string[], args: readonly string[] = []): WatchingProcess {
  const [command = '', ...rest] = [...prefix, process.execPath, SCRIPT, ...args]
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  // Of a process that has ended, which is what the test then sees.
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    next: async () => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error('it has ended, and printed no further line')
      return JSON.parse(value) as PrintedLine
    },
    say: (line) => void child.stdin.write(`${line}\n`),
    exit: new Promise((resolve, reject) => {
      child.once('exit', resolve)
      child.once('error', reject)
    }),
    kill: () => void child.kill('SIGKILL'),
  }
}

const SCRIPT = fileURLToPath(new URL('../../dist/test-support/watch-and-print.js', import.meta.url))
