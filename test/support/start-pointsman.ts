import { spawn } from 'node:child_process'
import { type Ended, POINTSMAN, type RunOptions } from './run-pointsman.js'

/** A command that runs as a process of its own, for tests that change its world meanwhile. */
export interface StartedCommand {
  /** Waits until what it said on standard error matches; fails when it ends before. */
  readonly hasSaid: (pattern: RegExp) => Promise<void>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

/** Starts the built command, in a pipe. Of the environment only PATH is handed on. */
export function startPointsman(args: readonly string[], { env = {} }: Pick<RunOptions, 'env'> = {}): StartedCommand {
  const child = spawn(process.execPath, [POINTSMAN, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  const waiting = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    for (const look of waiting) look()
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }))
  })
  return {
    signal: (signal) => void child.kill(signal),
    ended,
    hasSaid: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!pattern.test(stderr)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        void ended.then(() => reject(new Error(`it ended and never said ${String(pattern)}:\n${stderr}`)))
        look()
      }),
  }
}
