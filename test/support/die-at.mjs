import { copyFileSync, existsSync, writeSync } from 'node:fs'

/**
 * A step callback that prints each step and ends the process, as pulling its plug would, at the n-th occurrence of one. STEP
 * `copy`: does not end it, and copies the log at every occurrence that is named, as `STEP N COPY` in the lines of `occurrence`;
 * the files are then as they are left by a process that ends there. STEP `none` prints alone.
 */
export function dieAt(step, occurrence, log) {
  const copies = new Map(
    step === 'copy' ? occurrence.split('\n').map((line) => /^(.+ \d+) (\S+)$/.exec(line).slice(1)) : [],
  )
  const seen = new Map()
  return (name) => {
    writeSync(1, `step ${name}\n`)
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    const copy = copies.get(`${name} ${count}`)
    if (copy !== undefined) {
      for (const end of ['', '-wal', '-shm']) if (existsSync(log + end)) copyFileSync(log + end, copy + end)
      writeSync(1, `copied ${copy}\n`)
    }
    if (name === step && count === Number(occurrence)) process.kill(process.pid, 'SIGKILL')
  }
}
