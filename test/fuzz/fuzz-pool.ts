import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FuzzCase, FuzzStep } from './fuzz-cases.js'

/**
 * What a command may take of the machine for one hostile input. Time on the clock is that of a process that does nothing: one that works
 * gets some CPU time even where many others run.
 */
const LIMITS = { cpuMs: 10_000, idleMs: 30_000, bytes: 1 << 30 } as const

/** A child is replaced after so many commands, so that what they leave behind is not counted against a later one. */
const COMMANDS_A_CHILD = 150

export interface Judged {
  /** Absent: nothing was wrong. */
  readonly problem?: string
  readonly step?: FuzzStep
  readonly statuses: readonly (number | undefined)[]
}

interface Answer {
  readonly problem?: string
  readonly status?: number
  readonly stdout: string
  readonly stderr: string
}

/** Writes the files of a case into a folder, which is made. */
export function writeCase({ files }: FuzzCase, folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
}

/** A child that runs commands in process, and is killed and replaced when one does not end or grows. */
export class FuzzWorker {
  #child: ChildProcess | undefined
  #commands = 0

  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Runs the steps of a case. What hung or grew is tried once more in a child that has done nothing before. */
  async judge(fuzzCase: FuzzCase): Promise<Judged> {
    const judged = await this.#judge(fuzzCase)
    if (judged.problem === undefined || !/^(?:hang|memory|the process)/.test(judged.problem)) return judged
    this.end()
    return this.#judge(fuzzCase)
  }

  end(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #judge(fuzzCase: FuzzCase): Promise<Judged> {
    writeCase(fuzzCase, this.folder)
    const statuses: (number | undefined)[] = []
    const written = new Set<string>()
    for (const step of fuzzCase.steps) {
      const { problem, status } = await this.#run(step)
      statuses.push(status)
      for (const name of step.writes ?? []) written.add(name)
      const found = problem ?? changedInput(fuzzCase, this.folder, written)
      if (found !== undefined) return { problem: found, step, statuses }
    }
    return { statuses }
  }

  async #run(step: FuzzStep): Promise<Answer> {
    if (this.#commands++ % COMMANDS_A_CHILD === 0) this.end()
    const child = (this.#child ??= fork(fileURLToPath(new URL('fuzz-child.mjs', import.meta.url)), [], {
      // A bound of its own: while the next case is made here, nobody looks at the child.
      execArgv: [`--max-old-space-size=${LIMITS.bytes >> 20}`],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: process.env['PATH'] },
    }))
    const cpuBefore = usageOf(child.pid).cpuMs
    return new Promise((resolve) => {
      let worked = { cpuMs: cpuBefore, at: performance.now() }
      const finish = (answer: Answer, { kill }: { readonly kill: boolean }): void => {
        clearInterval(watch)
        child.removeAllListeners()
        if (kill) this.end()
        resolve(answer)
      }
      const watch = setInterval(() => {
        const { cpuMs, bytes } = usageOf(child.pid)
        if (cpuMs > worked.cpuMs) worked = { cpuMs, at: performance.now() }
        const problem =
          cpuMs - cpuBefore > LIMITS.cpuMs || performance.now() - worked.at > LIMITS.idleMs
            ? `hang: no end within ${LIMITS.cpuMs} ms of CPU time, or nothing done for ${LIMITS.idleMs} ms`
            : bytes > LIMITS.bytes
              ? `memory: more than ${LIMITS.bytes} bytes`
              : undefined
        if (problem !== undefined) finish({ problem, stdout: '', stderr: '' }, { kill: true })
      }, 50)
      child.once('message', (answer: Answer) => finish(answer, { kill: false }))
      child.once('exit', (code, signal) =>
        finish({ problem: `the process ended by itself: ${signal ?? code}`, stdout: '', stderr: '' }, { kill: true }),
      )
      child.send({
        folder: this.folder,
        argv: step.argv,
        ...(step.stdin !== undefined && step.argv.includes('-') && { stdin: step.stdin }),
      })
    })
  }
}

function changedInput({ files }: FuzzCase, folder: string, written: ReadonlySet<string>): string | undefined {
  for (const [name, bytes] of files) {
    if (written.has(name)) continue
    const path = join(folder, name)
    if (!existsSync(path) || digest(readFileSync(path)) !== digest(bytes)) return `input changed: ${name}`
  }
  return undefined
}

const digest = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex')

/** Of a process of this machine; where /proc is not there nothing is known, and the wait alone is a limit. */
function usageOf(pid: number | undefined): { readonly cpuMs: number; readonly bytes: number } {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    // After the name: the 12th and 13th are clock ticks of 10 ms, the 22nd pages of 4 KiB. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, bytes: Number(fields[21]) * 4096 }
  } catch {
    return { cpuMs: 0, bytes: 0 }
  }
}

/** A smaller case with a problem of the same kind: steps, lines, or parts of a line, that can go are taken out. */
export async function shrink(fuzzCase: FuzzCase, problem: string, worker: FuzzWorker): Promise<FuzzCase> {
  const kind = kindOf(problem)
  let smallest = fuzzCase
  const budget = { left: 60, until: performance.now() + SHRINKING_MS }
  const attempt = async (candidate: FuzzCase): Promise<boolean> => {
    budget.left -= 1
    const { problem: found } = await worker.judge(candidate)
    if (found === undefined || kindOf(found) !== kind) return false
    smallest = candidate
    return true
  }
  for (const step of fuzzCase.steps.toReversed())
    if (smallest.steps.length > 1)
      await attempt({ ...smallest, steps: smallest.steps.filter((other) => other !== step) })
  for (const [name, bytes] of fuzzCase.files) {
    if (name.endsWith('.db')) continue
    const glue = bytes.includes(LINE_FEED) ? '\n' : ''
    let parts = bytes.toString('latin1').split(glue)
    for (let size = Math.ceil(parts.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < parts.length;) {
        if (budget.left <= 0 || performance.now() > budget.until) return smallest
        const fewer = [...parts.slice(0, at), ...parts.slice(at + size)]
        const files = new Map(smallest.files).set(name, Buffer.from(fewer.join(glue), 'latin1'))
        if (await attempt({ ...smallest, files })) parts = fewer
        else at += size
      }
    }
  }
  return smallest
}

/** What hangs takes its whole time at each try. */
const SHRINKING_MS = 30_000

const LINE_FEED = 10

/** Two problems of one kind are likely one fault. */
export const kindOf = (problem: string): string => problem.replaceAll(/\d+/g, '').replaceAll(/\s+/g, ' ').slice(0, 250)
