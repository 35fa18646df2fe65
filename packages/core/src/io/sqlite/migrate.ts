import type Database from 'better-sqlite3'
import { ChangeLogError } from './errors.js'
import { APPLICATION_ID, type Migration } from './schema.js'

/**
 * Brings a log to the newest version, in one transaction; an empty file becomes an empty log.
 * Throws LOG_NOT_A_LOG for another application's file, LOG_TOO_NEW for a later version's log.
 */
export function migrate(
  db: Database.Database,
  { file, migrations }: { readonly file: string; readonly migrations: readonly Migration[] },
): void {
  const run = db.transaction(() => {
    const version = isEmpty(db) ? 0 : versionOf(db, { file, known: migrations.length })
    for (const step of migrations.slice(version)) step(db)
    if (version === migrations.length) return
    db.pragma(`application_id = ${APPLICATION_ID}`)
    db.pragma(`user_version = ${migrations.length}`)
  })
  run.immediate()
}

/** Throws, before anything is changed, where the file is neither a log nor empty. */
export function refuseForeign(
  db: Database.Database,
  { file, known }: { readonly file: string; readonly known: number },
): void {
  if (!isEmpty(db)) versionOf(db, { file, known })
}

/** Whether a log can be read as it is. Throws as `migrate` does, and LOG_TOO_OLD where it would have something to do. */
export function checkVersion(
  db: Database.Database,
  { file, known }: { readonly file: string; readonly known: number },
): void {
  if (isEmpty(db)) throw new ChangeLogError('LOG_NOT_A_LOG', { file, detail: 'it is empty' })
  const version = versionOf(db, { file, known })
  if (version < known) throw new ChangeLogError('LOG_TOO_OLD', { file, detail: `version ${version}, needed ${known}` })
}

function versionOf(db: Database.Database, { file, known }: { readonly file: string; readonly known: number }): number {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
    throw new ChangeLogError('LOG_NOT_A_LOG', { file })
  const version = Number(db.pragma('user_version', { simple: true }))
  if (version > known)
    throw new ChangeLogError('LOG_TOO_NEW', { file, detail: `version ${version}, known up to ${known}` })
  return version
}

const isEmpty = (db: Database.Database): boolean =>
  db.pragma('application_id', { simple: true }) === 0 &&
  db.pragma('user_version', { simple: true }) === 0 &&
  db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
