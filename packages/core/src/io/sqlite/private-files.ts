import {
  chmodSync,
  closeSync,
  fchmodSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import Database from 'better-sqlite3'
import { ChangeLogError } from '../../ports/change-log.js'
import { isCode, toChangeLogError } from './errors.js'

/**
 * Where the log itself is when `file` is a symbolic link to it: SQLite puts -wal and -shm beside it, and so is the lock.
 * LOG_NOT_FOUND for a link that leads nowhere.
 */
export function realFileOf(file: string): string {
  if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return file
  try {
    return realpathSync(file)
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw toChangeLogError(error, file)
    throw new ChangeLogError('LOG_NOT_FOUND', { file, detail: 'dangling symbolic link' }, { cause: error })
  }
}

/** Makes an empty file of mode 0600, whatever the umask; false where something is there already. */
export function createPrivately(path: string): boolean {
  try {
    // Only a file that this call makes may be opened and closed: closing any other would release our process's own locks on it.
    const descriptor = openSync(path, 'wx', 0o600)
    fchmodSync(descriptor, 0o600)
    closeSync(descriptor)
    return true
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
    return false
  }
}

/** Whoever may read the log learns of every Service: takes the leave of all others from a file that is this user's. */
export function makePrivate(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isFile() !== true || found.uid !== process.geteuid?.()) return
  if ((found.mode & 0o777 & ~0o600) !== 0) chmodSync(path, found.mode & 0o600)
}

/** Files that SQLite and the writer have beside a log. SQLite reads the first two before it reads the log. */
export const SIDE_FILES = ['-wal', '-journal', '-shm', '-lock'] as const

/**
 * Why others than root and the user of this process could change the log, or put another in its place: who owns the file, its
 * side files, its folder and each folder and link on the way to it, and who may write there. A sticky folder on the way, such
 * as /tmp, may be written by all; the folder of the log may not, because what SQLite finds beside a log is part of it.
 * Undefined where nobody else can. Throws LOG_NOT_FOUND for a symbolic link that leads nowhere.
 */
export function whoElseCanWrite(file: string): string | undefined {
  const real = realFileOf(file)
  try {
    return onTheWay(file, real) ?? atTheEnd(real)
  } catch (error) {
    throw toChangeLogError(error, file)
  }
}

/** Throws LOG_NOT_PRIVATE, with the reason, where others could change the log. */
export function refuseOthersLog(file: string): void {
  const detail = whoElseCanWrite(file)
  if (detail !== undefined) throw new ChangeLogError('LOG_NOT_PRIVATE', { file, detail })
}

function onTheWay(file: string, real: string): string | undefined {
  const waiting = [resolve(real), resolve(file)]
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    const place = waiting.pop()
    if (place === undefined) return undefined
    const found = lstatSync(place, { throwIfNoEntry: false })
    if (found !== undefined && !isTrusted(found.uid)) return `${place} belongs to user ${found.uid}`
    if (found?.isSymbolicLink() === true) waiting.push(resolve(realpathSync(dirname(place)), readlinkSync(place)))
    else if (found?.isDirectory() === true && isOthers(found.mode) && (found.mode & STICKY) === 0)
      return `${place} is writable by others: mode ${modeText(found.mode)}`
    if (place !== '/') waiting.push(dirname(place))
  }
  return 'too many symbolic links'
}

function atTheEnd(real: string): string | undefined {
  const folder = dirname(resolve(real))
  const mode = statSync(folder, { throwIfNoEntry: false })?.mode ?? 0
  if (isOthers(mode)) return `${folder} is writable by others: mode ${modeText(mode)}`
  for (const path of [real, ...SIDE_FILES.map((suffix) => `${real}${suffix}`)]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined) continue
    if (!isTrusted(found.uid)) return `${path} belongs to user ${found.uid}`
    // Opening the log says what is wrong with a folder in its place.
    if (!found.isFile() && path !== real) return `${path} is not a regular file`
    if (isOthers(found.mode)) return `${path} is writable by others: mode ${modeText(found.mode)}`
    if (found.nlink > 1) return `${path} has more than one hard link`
  }
  return undefined
}

/** Root, this user, and the owner of the root folder, which is root seen from a user namespace. */
const isTrusted = (uid: number): boolean =>
  process.geteuid === undefined || uid === 0 || uid === process.geteuid() || uid === statSync('/').uid

const isOthers = (mode: number): boolean => (mode & 0o022) !== 0
const modeText = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')
const STICKY = 0o1000
const MOST_STEPS = 500

/**
 * Keeps other writers out for as long as this one lives: an exclusive transaction on a small file beside the log. The
 * kernel releases it however the process ends. Readers never look at it. Throws LOG_LOCKED where another writer is.
 */
export function lockForWriting(file: string): { release(): void } {
  const lockFile = `${realFileOf(file)}-lock`
  for (;;) {
    const inode = createdInode(lockFile, file)
    const db = tryLock(lockFile, file)
    // A writer that ends removes the file; who opened it before that holds a lock on a file that nobody else will see.
    if (db !== undefined && inode !== undefined && inodeAt(lockFile) === inode)
      return { release: () => release(db, lockFile) }
    db?.close()
  }
}

function createdInode(lockFile: string, file: string): number | undefined {
  try {
    if (!createPrivately(lockFile)) makePrivate(lockFile)
  } catch (error) {
    throw toWriteError(error, file)
  }
  const found = lstatSync(lockFile, { throwIfNoEntry: false })
  // A link would have us make and lock a file somewhere else.
  if (found?.isFile() === false)
    throw new ChangeLogError('LOG_NOT_PRIVATE', { file, detail: `${lockFile} is not a regular file` })
  return found?.ino
}

function tryLock(lockFile: string, file: string): Database.Database | undefined {
  let db: Database.Database | undefined
  try {
    db = new Database(lockFile, { timeout: 0, fileMustExist: true })
    db.exec('BEGIN EXCLUSIVE')
    return db
  } catch (error) {
    db?.close()
    // The writer that had it has removed it just now.
    if (inodeAt(lockFile) === undefined) return undefined
    throw toWriteError(error, file)
  }
}

function inodeAt(lockFile: string): number | undefined {
  return lstatSync(lockFile, { throwIfNoEntry: false })?.ino
}

function release(db: Database.Database, lockFile: string): void {
  try {
    unlinkSync(lockFile)
  } catch {
    // A directory that became read-only keeps the file; the lock is released all the same.
  }
  db.close()
}

function toWriteError(error: unknown, file: string): unknown {
  const denied = isCode(error, 'EACCES') || isCode(error, 'EPERM')
  return denied ? new ChangeLogError('LOG_READ_ONLY', { file }, { cause: error }) : toChangeLogError(error, file)
}
