import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runInProcess } from './run-in-process.js'

export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Words before the command: `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[]
}

/** The script of the command, for tests that talk to it while it runs. */
export const POINTSMAN = fileURLToPath(new URL('../../packages/cli/bin/pointsman.mjs', import.meta.url))

/**
 * Runs a command in a pipe: in this process, from the sources, which saves the start of one; as a process of its own where it
 * needs words before it or another directory. Of the environment only PATH is handed on.
 */
export async function runPointsman(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { input, env, cwd, prefix } = options
  if (cwd !== undefined || prefix !== undefined) return runPointsmanProcess(args, options)
  const command = runInProcess(args, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    ...(input !== undefined && { input }),
  })
  const status = await command.ended
  return { status, signal: null, stdout: command.stdout(), stderr: command.stderr() }
}

/** Runs the built command as a process of its own, in a pipe: for what only a process can show. */
export const runPointsmanProcess = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  runScript(POINTSMAN, args, options)

/** Runs a script with this Node. Of the environment only PATH is handed on. */
export async function runScript(
  script: string,
  args: readonly string[],
  { input = '', env = {}, cwd, prefix = [] }: RunOptions = {},
): Promise<Ended> {
  const [program = '', ...words] = [...prefix, process.execPath, script, ...args]
  const child = spawn(program, words, {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // A command that reads no input may end before it is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }))
  })
}
