import { cpSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { ChangeLogError } from '../../ports/change-log.js'
import { toChangeLogError } from './errors.js'
import { createPrivately, makePrivate, realFileOf, SIDE_FILES } from './private-files.js'
import { checkVersion, migrate, MIGRATIONS, refuseForeign, type Migration } from './schema.js'

/**
 * `full`: an append that has resolved survives a power cut. `normal`: it survives the end of the process, and a power cut
 * may take the last appends with it, whole ones.
 */
export type Durability = 'full' | 'normal'

export interface OpenDatabase {
  readonly db: Database.Database
  close(): void
}

/** How long a statement waits for another connection. */
const BUSY_TIMEOUT_MS = 2000
/**
 * How long a writer that opens waits for readers when it switches a log at rest to WAL: an agent that starts reads a large state from it for
 * seconds. Another writer is no reason to wait: its lock is found first.
 */
const OPENING_TIMEOUT_MS = 60_000

export function openForWriting(
  file: string,
  {
    durability,
    migrations = MIGRATIONS,
  }: { readonly durability: Durability; readonly migrations?: readonly Migration[] },
): OpenDatabase {
  return mapErrors(file, () => {
    refuseOtherThanFile(file)
    const path = realFileOf(file)
    createPrivately(path)
    const db = new Database(path, { fileMustExist: true, timeout: OPENING_TIMEOUT_MS })
    try {
      distrust(db)
      refuseForeign(db, { file, migrations })
      boundCache(db)
      // A file that was there, which is a log or empty. SQLite gives the -wal and -shm that it makes the log's mode.
      for (const suffix of ['', ...SIDE_FILES]) makePrivate(`${path}${suffix}`)
      // Before the first table; has no effect on a log that exists.
      db.pragma('auto_vacuum = INCREMENTAL')
      db.pragma('journal_mode = WAL')
      // An import writes the same pages of the index again and again: so that most of it stays in the -wal (16 MB).
      db.pragma('wal_autocheckpoint = 4000')
      db.pragma(`synchronous = ${durability.toUpperCase()}`)
      migrate(db, { file, migrations })
      db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    } catch (error) {
      db.close()
      throw error
    }
    return { db, close: () => closeWriter(db) }
  })
}

/**
 * A log may come from another source. better-sqlite3 opens in SQLite's defensive mode; what else SQLite advises for such
 * files: https://www.sqlite.org/security.html#untrusted_sqlite_database_files
 */
function distrust(db: Database.Database): void {
  db.pragma('trusted_schema = OFF')
  db.pragma('cell_size_check = ON')
  db.pragma('mmap_size = 0')
}

/** After the schema was read: its header may ask for a cache of any size. */
const boundCache = (db: Database.Database): void => void db.pragma('cache_size = -16000')

/** A FIFO would wait, and a device has no end. */
export function refuseOtherThanFile(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats !== undefined && !stats.isFile())
    throw new ChangeLogError('LOG_NOT_A_LOG', { file, detail: 'it is not a regular file' })
}

/** A log at rest is one plain file that can be read from anywhere: no -wal, no -shm. */
function closeWriter(db: Database.Database): void {
  try {
    db.pragma('synchronous = FULL')
    db.pragma('busy_timeout = 0')
    db.pragma('wal_checkpoint(TRUNCATE)')
    db.pragma('journal_mode = DELETE')
  } catch {
    // A reader is there, or the disk is full: the log stays in WAL mode, and nothing is lost.
  }
  db.close()
}

/** Never creates the file and never changes it; while it is in WAL mode, SQLite may put a -shm beside it. */
export function openForReading(
  file: string,
  { migrations = MIGRATIONS }: { readonly migrations?: readonly Migration[] } = {},
): OpenDatabase {
  return mapErrors(file, () => {
    refuseOtherThanFile(file)
    if (!existsSync(file)) throw new ChangeLogError('LOG_NOT_FOUND', { file })
    try {
      return openAndCheck(file, { file, migrations })
    } catch (error) {
      if (!needsDirectory(error)) throw error
      return openCopy(file, migrations)
    }
  })
}

function openAndCheck(
  path: string,
  { file, migrations }: { readonly file: string; readonly migrations: readonly Migration[] },
): OpenDatabase {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    distrust(db)
    checkVersion(db, { file, migrations })
    boundCache(db)
  } catch (error) {
    db.close()
    throw error
  }
  return { db, close: () => void db.close() }
}

/** A log in WAL mode (its writer was killed) cannot be read in place where nothing can be written beside it. */
const needsDirectory = (error: unknown): boolean =>
  error instanceof Database.SqliteError &&
  (error.code.startsWith('SQLITE_CANTOPEN') || error.code.startsWith('SQLITE_READONLY'))

function openCopy(file: string, migrations: readonly Migration[]): OpenDatabase {
  const directory = mkdtempSync(join(tmpdir(), 'pointsman-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    const path = join(directory, basename(file))
    cpSync(file, path)
    if (existsSync(`${file}-wal`)) cpSync(`${file}-wal`, `${path}-wal`)
    // SQLite has its files open from the first read on: nothing stays where the process is killed.
    return openAndCheck(path, { file, migrations })
  } finally {
    remove()
  }
}

function mapErrors<Result>(file: string, open: () => Result): Result {
  try {
    return open()
  } catch (error) {
    const mapped = toChangeLogError(error, file)
    const missing = mapped instanceof ChangeLogError && mapped.code === 'LOG_IO' && !existsSync(dirname(file))
    throw missing ? new ChangeLogError('LOG_NOT_FOUND', { file }, { cause: error }) : mapped
  }
}
