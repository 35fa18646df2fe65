import { spawnSync } from 'node:child_process'
import { existsSync, openSync, readFileSync, statSync } from 'node:fs'
import { Failure } from './failure.mjs'

/** Locks the file until this process ends; `seconds` undefined: without waiting, Infinity: as long as it takes. */
export function lock(file, seconds) {
  // A lock belongs to the open file, which both processes share: it outlives the flock that took it.
  const stdio = ['ignore', 'ignore', 'inherit', openSync(file, 'a')]
  if (spawnSync('flock', [...timeoutWords(seconds), '3'], { stdio }).status === 0) return
  const advice = seconds === undefined ? 'Perhaps you want to use the -w option?' : `Stopped waiting after ${seconds}s.`
  throw new Failure(4, `Another app is currently holding the xtables lock. ${advice}`)
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
