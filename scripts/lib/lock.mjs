import { linkSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 100
const SAY_AFTER_MS = 1500
const ABANDONED_MS = 10_000

/**
 * Does the work while no other process that asks for the same path does. The lock is a file with the ids of the
 * processes that hold it; it counts until all of them are gone, so that one left behind by a killed process stops
 * nobody. Rejects when it is not had within `timeoutMs`.
 */
export async function withLock({ path, timeoutMs, say }, work) {
  await acquire({ path, timeoutMs, say })
  try {
    return await work({ hold: (pid) => write(path, [process.pid, pid]) })
  } finally {
    rmSync(path, { force: true })
  }
}

async function acquire({ path, timeoutMs, say }) {
  const started = Date.now()
  let said = false
  while (!tryAcquire(path)) {
    const holders = holdersOf(path)
    if (isDead(holders)) removeDead(path)
    const holder = holders.find(isAlive)
    const waitedMs = Date.now() - started
    if (!said && holder !== undefined && waitedMs > SAY_AFTER_MS) {
      said = true
      say(`waiting for another set-up (process ${holder})`)
    }
    if (waitedMs > timeoutMs)
      throw new Error(`process ${holder} holds ${path}: end it, or remove that file, then run this again`)
    await sleep(POLL_MS)
  }
}

/** A link appears with its content, and only where there is none: nobody ever sees a lock without a holder. */
function tryAcquire(path) {
  const own = `${path}.${process.pid}`
  writeFileSync(own, `${process.pid}\n`)
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}

function write(path, pids) {
  const next = `${path}.${process.pid}`
  writeFileSync(next, `${pids.join('\n')}\n`)
  renameSync(next, path)
}

function holdersOf(path) {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** One at a time, looking again: of two that found the lock dead, the slower would else remove the quicker one's. */
function removeDead(path) {
  const guard = `${path}.removing`
  try {
    mkdirSync(guard)
  } catch {
    removeAbandoned(guard)
    return
  }
  try {
    if (isDead(holdersOf(path))) rmSync(path, { force: true })
  } finally {
    rmSync(guard, { recursive: true, force: true })
  }
}

function removeAbandoned(guard) {
  try {
    if (Date.now() - statSync(guard).mtimeMs > ABANDONED_MS) rmdirSync(guard)
  } catch {
    // Gone by itself: what was wanted.
  }
}

/** No holders at all is no dead lock but a free one, which may be taken at any moment. */
const isDead = (holders) => holders.length > 0 && !holders.some(isAlive)

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
