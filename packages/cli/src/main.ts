import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import type { Context } from './context.js'
import type { ExitStatus } from './errors.js'
import { exitStatusOf } from './exit-status-of.js'
import { shieldDashed } from './input/dashed-arguments.js'
import { styleFor } from './output/colour.js'
import { describeFailure } from './output/describe-failure.js'
import { createProgram } from './program.js'

/** Runs the command that the process was started for and sets the process's exit status. */
export async function main(): Promise<void> {
  const interrupt = new AbortController()
  const end = (): void => {
    // A second Ctrl-C ends at once: the log is a database and outlives that.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endQuietlyOnClosedPipe)
  process.exitCode = await run(process.argv.slice(2), {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    now: Date.now,
    interrupted: interrupt.signal,
    style: styleFor({ env: process.env, isTTY: process.stdout.isTTY }),
    errorStyle: styleFor({ env: process.env, isTTY: process.stderr.isTTY }),
  })
  // An input that was left half-read, as after Ctrl-C, would keep the process.
  process.stdin.destroy()
  process.off('SIGINT', end)
  process.off('SIGTERM', end)
}

/** Runs one command line in a world that is given, and answers the exit status. */
export async function run(argv: readonly string[], world: Omit<Context, 'finish'>): Promise<ExitStatus> {
  let status: ExitStatus = 0
  const context: Context = { ...world, finish: (ended) => void (status = ended) }
  try {
    const words = shieldDashed(argv)
    const program = await createProgram(words, packageVersion(), context)
    await program.parseAsync([...words], { from: 'user' })
    return status
  } catch (error) {
    // commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    context.stderr.write(describeFailure(error, context.errorStyle))
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
