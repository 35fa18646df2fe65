import Database from 'better-sqlite3'
import { ChangeLogError } from '../../ports/change-log-error.js'
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
  { file, migrations }: { readonly file: string; readonly migrations: readonly Migration[] },
): void {
  if (isEmpty(db)) return
  refuseOtherSchema(db, { file, migrations, version: versionOf(db, { file, known: migrations.length }) })
}

/** Whether a log can be read as it is. Throws as `migrate` does, and LOG_TOO_OLD where it would have something to do. */
export function checkVersion(
  db: Database.Database,
  { file, migrations }: { readonly file: string; readonly migrations: readonly Migration[] },
): void {
  if (isEmpty(db)) throw new ChangeLogError('LOG_NOT_A_LOG', { file, detail: 'it is empty' })
  const known = migrations.length
  const version = versionOf(db, { file, known })
  refuseOtherSchema(db, { file, migrations, version })
  if (version < known) throw new ChangeLogError('LOG_TOO_OLD', { file, detail: `version ${version}, needed ${known}` })
}

function versionOf(db: Database.Database, { file, known }: { readonly file: string; readonly known: number }): number {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
    throw new ChangeLogError('LOG_NOT_A_LOG', { file })
  const version = Number(db.pragma('user_version', { simple: true }))
  if (version < 1) throw new ChangeLogError('LOG_NOT_A_LOG', { file, detail: `it has the version ${version}` })
  if (version > known)
    throw new ChangeLogError('LOG_TOO_NEW', { file, detail: `version ${version}, known up to ${known}` })
  return version
}

const isEmpty = (db: Database.Database): boolean =>
  db.pragma('application_id', { simple: true }) === 0 &&
  db.pragma('user_version', { simple: true }) === 0 &&
  db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined

/**
 * A log may come from an untrusted source, and a schema can act: a view or a generated column that never ends, a trigger, an
 * index over an expression. Throws LOG_NOT_A_LOG where the objects of the schema are not those that the steps up to the
 * version make.
 */
function refuseOtherSchema(
  db: Database.Database,
  {
    file,
    migrations,
    version,
  }: { readonly file: string; readonly migrations: readonly Migration[]; readonly version: number },
): void {
  const refuse = (detail: string): never => {
    throw new ChangeLogError('LOG_NOT_A_LOG', {
      file,
      detail: `its schema is not that of version ${version}: ${detail}`,
    })
  }
  if (db.pragma('encoding', { simple: true }) !== 'UTF-8') refuse('the text encoding is not UTF-8')
  const expected = schemaOf(migrations.slice(0, version))
  const missing = new Set(expected.keys())
  const roots = new Set<unknown>([1])
  // One more than there should be is enough to refuse it.
  for (const { type, name, sql, root } of objectsOf(db, expected.size + 1)) {
    const label = `${String(type)} ${JSON.stringify(String(name).slice(0, 100))}`
    const known = expected.get(`${String(type)} ${String(name)}`)
    if (known === undefined) refuse(`unexpected ${label}`)
    if (known !== normalSql(sql)) refuse(`the ${label} differs`)
    if (type !== 'view' && roots.has(root)) refuse(`the ${label} shares the pages of another`)
    roots.add(root)
    missing.delete(`${String(type)} ${String(name)}`)
  }
  for (const name of missing) refuse(`missing ${name}`)
}

interface SchemaObject {
  readonly type: unknown
  readonly name: unknown
  readonly sql: unknown
  readonly root: unknown
}

const objectsOf = (db: Database.Database, limit: number): readonly SchemaObject[] =>
  db
    .prepare(
      `SELECT type, name, rootpage AS root, iif(octet_length(sql) > ${MAX_SQL_BYTES}, octet_length(sql), sql) AS sql
       FROM sqlite_schema LIMIT ${limit}`,
    )
    .all() as SchemaObject[]

const MAX_SQL_BYTES = 100_000

/** The objects that the steps make, by type and name, each with its SQL. */
function schemaOf(migrations: readonly Migration[]): ReadonlyMap<string, string> {
  const db = new Database(':memory:')
  try {
    for (const step of migrations) step(db)
    return new Map(objectsOf(db, -1).map(({ type, name, sql }) => [`${String(type)} ${String(name)}`, normalSql(sql)]))
  } finally {
    db.close()
  }
}

/**
 * SQL without what means nothing: comments and the spaces between its words. Texts and quoted names stay as they are. SQLite
 * keeps no SQL of the indexes that it makes by itself.
 */
function normalSql(sql: unknown): string {
  if (typeof sql !== 'string') return sql === null ? '' : `not SQL: ${typeof sql}`
  return (sql.match(SQL_TOKENS) ?? []).filter((token) => !/^(?:[ \t\n\f\r]|--|\/\*)/.test(token)).join(' ')
}

// https://www.sqlite.org/lang_keywords.html, https://www.sqlite.org/lang_comment.html: spaces are these five characters only.
const SQL_TOKENS =
  /[ \t\n\f\r]+|--[^\n]*|\/\*[^]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$\u0080-\uffff]+|[^]/g
