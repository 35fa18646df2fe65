import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import type { Context, World } from './context.js'
import { DATAPLANES } from './dataplanes.js'
import { describeFailure, exitStatusOf, type ExitStatus } from './errors.js'
import { shieldDashed } from './input/suggest.js'
import { lineSink, styleFor } from './output/terminal.js'
import { createProgram } from './program.js'

/** Runs the command that the process was started for and sets the process's exit status. */
export async function main(): Promise<void> {
  const argv = process.argv.slice(2)
  const signals = handleSignals(argv[0])
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endQuietlyOnClosedPipe)
  const status = await run(argv, {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    now: Date.now,
    get interrupted() {
      return signals.interrupted()
    },
    style: styleFor({ env: process.env, isTTY: process.stdout.isTTY }),
    errorStyle: styleFor({ env: process.env, isTTY: process.stderr.isTTY }),
    dataplanes: DATAPLANES,
  })
  // An input that was left half-read, as after Ctrl-C, would keep the process.
  process.stdin.destroy()
  signals.ignore()
  process.exitCode = status === 130 ? signals.status() : status
}

/**
 * SIGINT and SIGTERM end a command at once, by the system's own action, busy as it may be: node runs no handler while a loop
 * runs. A command that writes something finishes its step instead, from when it first looks at `interrupted`, which is when it
 * begins to write; its loops let the event loop have its turn. One that takes too long over that, or a second signal, ends the
 * process: a log is a database and outlives that.
 */
function handleSignals(command: string | undefined): {
  readonly interrupted: () => AbortSignal
  readonly ignore: () => void
  /** What the process ends with after a signal. */
  readonly status: () => ExitStatus
} {
  const interrupt = new AbortController()
  const finishes = command !== undefined && WRITING.has(command)
  let isHeeding = false
  let status: ExitStatus = 130
  const end = (signal: NodeJS.Signals): void => {
    status = signal === 'SIGTERM' ? 143 : 130
    const leave = (): void => process.exit(status)
    if (interrupt.signal.aborted) leave()
    setTimeout(leave, command === 'run' ? AGENT_FINISHING_MS : FINISHING_MS).unref()
    interrupt.abort()
  }
  return {
    interrupted() {
      if (finishes && !isHeeding) {
        isHeeding = true
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
      }
      return interrupt.signal
    },
    ignore() {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end)
    },
    status: () => status,
  }
}

/** Commands that leave half-done work behind where the system ends them. */
const WRITING: ReadonlySet<string> = new Set([
  'run',
  'record',
  'import',
  'export',
  'replay',
  'apply',
  'cleanup',
  'demo',
  // Its --follow is ended in no other way.
  'log',
])

const FINISHING_MS = 2000
/** What was observed is brought into force within 3 s, then the log is closed. */
const AGENT_FINISHING_MS = 10_000

/** Runs one command line in a world that is given, and answers the exit status. */
export async function run(argv: readonly string[], world: World): Promise<ExitStatus> {
  let status: ExitStatus = 0
  const { stdin, env, now, style, errorStyle, dataplanes } = world
  const context: Context = {
    stdin,
    stdout: lineSink(world.stdout),
    stderr: lineSink(world.stderr),
    env,
    now,
    style,
    errorStyle,
    dataplanes,
    get interrupted() {
      return world.interrupted
    },
    finish: (ended) => void (status = ended),
  }
  try {
    const words = shieldDashed(argv)
    const program = await createProgram(words, packageVersion(), context)
    await program.parseAsync([...words], { from: 'user' })
    return status
  } catch (error) {
    // commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    context.stderr.print(describeFailure(error, { style: errorStyle, dataplanes }))
    return exitStatusOf(error)
  }
}

// `pointsman log | head` closes the pipe early: that is the reader's right, and no failure.
function endQuietlyOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}
