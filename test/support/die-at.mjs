import { writeSync } from 'node:fs'

/** A step callback that prints each step and ends the process, as pulling its plug would, at the n-th occurrence of one. */
export function dieAt(step, occurrence) {
  let seen = 0
  return (name) => {
    writeSync(1, `step ${name}\n`)
    if (name !== step) return
    seen += 1
    if (seen === occurrence) process.kill(process.pid, 'SIGKILL')
  }
}
