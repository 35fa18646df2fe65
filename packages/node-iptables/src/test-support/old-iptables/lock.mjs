import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs'
import { Failure } from './failure.mjs'

/** Locks the file until `unlock` or the end of this process; `seconds` undefined: without waiting, Infinity: as long as it takes. */
export function lock(file, seconds) {
  // A lock belongs to the open file, which both processes share: it outlives the flock that took it.
  locked = openSync(file, 'a')
  const stdio = ['ignore', 'ignore', 'inherit', locked]
  if (spawnSync('flock', [...timeoutWords(seconds), '3'], { stdio }).status === 0) return
  const advice = seconds === undefined ? 'Perhaps you want to use the -w option?' : `Stopped waiting after ${seconds}s.`
  throw new Failure(4, `Another app is currently holding the xtables lock. ${advice}`)
}

let locked

export function unlock() {
  if (locked !== undefined) closeSync(locked)
  locked = undefined
}

/** Whether somebody has the file locked, the process that became this one included. */
export function isLocked(file) {
  if (!existsSync(file)) return false
  const place = `:${statSync(file).ino} `
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => line.includes(place) && !line.includes('->'))
}

function timeoutWords(seconds) {
  if (seconds === undefined) return ['--nonblock']
  return seconds === Infinity ? [] : [`--timeout=${seconds}`]
}
