import { Readable } from 'node:stream'
import type { Context } from '../../packages/cli/src/context.js'
import { DATAPLANES } from '../../packages/cli/src/dataplanes.js'
import { run } from '../../packages/cli/src/main.js'
import { styleFor } from '../../packages/cli/src/output/terminal.js'

export interface RunningCommand {
  /** Resolves when standard output matches. */
  readonly said: (pattern: RegExp) => Promise<void>
  readonly stdout: () => string
  readonly stderr: () => string
  /** Ctrl-C. */
  readonly interrupt: () => void
  /** The exit status. */
  readonly ended: Promise<number>
}

export interface InProcessOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Standard input. Default: none. */
  readonly input?: string | Buffer
  /** Default: those of the command. */
  readonly dataplanes?: Context['dataplanes']
}

/** Runs a command in this process, as in a pipe: for tests that change its world while it runs. */
export function runInProcess(
  args: readonly string[],
  { env = {}, input, dataplanes = DATAPLANES }: InProcessOptions = {},
): RunningCommand {
  const interrupt = new AbortController()
  const style = styleFor({ env, isTTY: false })
  let text = ''
  let errors = ''
  let waiting: readonly (() => void)[] = []
  const stdout = {
    write(part: string) {
      text += part
      for (const look of waiting) look()
    },
  }
  const ended = run(args, {
    stdin: Readable.from(input === undefined ? [] : [Buffer.from(input)]),
    stdout,
    stderr: { write: (part: string) => void (errors += part) },
    env,
    now: Date.now,
    interrupted: interrupt.signal,
    style,
    errorStyle: style,
    dataplanes,
  })
  const said = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!pattern.test(text)) return
        waiting = waiting.filter((other) => other !== look)
        resolve()
      }
      waiting = [...waiting, look]
      look()
    })
  return { said, stdout: () => text, stderr: () => errors, interrupt: () => interrupt.abort(), ended }
}
