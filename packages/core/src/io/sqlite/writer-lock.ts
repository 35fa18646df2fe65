import { lstatSync, unlinkSync } from 'node:fs'
import Database from 'better-sqlite3'
import { ChangeLogError, isCode, toChangeLogError } from './errors.js'
import { createPrivately, makePrivate, realFileOf } from './private-files.js'

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
    throw new ChangeLogError('LOG_NOT_PRIVATE', { file, detail: `${lockFile} is no plain file` })
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
