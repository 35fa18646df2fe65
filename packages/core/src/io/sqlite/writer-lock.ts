import { closeSync, openSync, statSync, unlinkSync } from 'node:fs'
import Database from 'better-sqlite3'
import { ChangeLogError, toChangeLogError } from './errors.js'

/**
 * Keeps other writers out for as long as this one lives: an exclusive transaction on a small file beside the log. The
 * kernel releases it however the process ends. Readers never look at it. Throws LOG_LOCKED where another writer is.
 */
export function lockForWriting(file: string): { release(): void } {
  const lockFile = `${file}-lock`
  for (;;) {
    const inode = createdInode(lockFile, file)
    const db = tryLock(lockFile, file)
    // A writer that ends removes the file; who opened it before that holds a lock on a file that nobody else will see.
    if (inode !== undefined && inodeAt(lockFile) === inode) return { release: () => release(db, lockFile) }
    db.close()
  }
}

function createdInode(lockFile: string, file: string): number | undefined {
  try {
    // Only a file that this call makes may be opened and closed: closing any other would release our process's own locks on it.
    closeSync(openSync(lockFile, 'wx', 0o600))
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw toWriteError(error, file)
  }
  return inodeAt(lockFile)
}

function tryLock(lockFile: string, file: string): Database.Database {
  let db: Database.Database | undefined
  try {
    db = new Database(lockFile, { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
    return db
  } catch (error) {
    db?.close()
    throw toWriteError(error, file)
  }
}

function inodeAt(lockFile: string): number | undefined {
  return statSync(lockFile, { throwIfNoEntry: false })?.ino
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

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
