import Database from 'better-sqlite3'
import type { ObjectKind } from '../../model/kubernetes-object.js'
import type { LogRecord, ObjectRecord } from '../../model/record.js'
import { ChangeLogError } from '../../ports/change-log.js'
import { Damage } from './errors.js'

/** Marks a SQLite file as a change log ("PnTs"). https://www.sqlite.org/fileformat.html#application_id */
const APPLICATION_ID = 0x506e5473

/** What is on disk. Numbers are contracts with every log that was ever written: add, never change. */
export const KIND_CODES: { readonly [kind in ObjectKind]: number } = {
  Service: 1,
  EndpointSlice: 2,
  Node: 3,
  ServiceCIDR: 4,
}

export const TYPE_CODES = {
  ADDED: 1,
  MODIFIED: 2,
  DELETED: 3,
  BOOKMARK: 4,
  /** A bookmark that says that the list is complete. */
  LIST_END: 5,
  SYNC: 6,
  CONFIG: 7,
  NOTICE: 8,
} as const

/** `flags` of a record, added up. */
export const FLAG_FULL = 1
export const FLAG_ESTIMATED = 2
/** The time of the author's managedFields entry is in author_time alone. */
export const FLAG_AUTHOR_TIME = 4
/** A sync that failed. */
export const FLAG_FAILED = 8

const KINDS_BY_CODE: readonly (ObjectKind | undefined)[] = [
  undefined,
  'Service',
  'EndpointSlice',
  'Node',
  'ServiceCIDR',
]
export function kindOfCode(code: number): ObjectKind {
  const kind = KINDS_BY_CODE[code]
  if (kind === undefined) throw new Damage(`kind ${code}`, 'there is no such kind')
  return kind
}

const EVENTS_BY_CODE: readonly (ObjectRecord['event'] | undefined)[] = [undefined, 'ADDED', 'MODIFIED', 'DELETED']
export function eventOfCode(code: number): ObjectRecord['event'] {
  const event = EVENTS_BY_CODE[code]
  if (event === undefined) throw new Damage(`event ${code}`, 'there is no such event')
  return event
}

/** The codes of a type of record. */
export const CODES_OF_TYPE: { readonly [type in LogRecord['type']]: readonly number[] } = {
  object: [TYPE_CODES.ADDED, TYPE_CODES.MODIFIED, TYPE_CODES.DELETED],
  bookmark: [TYPE_CODES.BOOKMARK, TYPE_CODES.LIST_END],
  sync: [TYPE_CODES.SYNC],
  config: [TYPE_CODES.CONFIG],
  notice: [TYPE_CODES.NOTICE],
}

/** One step of the schema. The step at index n makes version n + 1 of version n. */
export type Migration = (db: Database.Database) => void

export const MIGRATIONS: readonly Migration[] = [createTables, addServiceCidr, addRequesters]

function createTables(db: Database.Database): void {
  db.exec(`
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

    CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO kinds VALUES (1, 'Service'), (2, 'EndpointSlice'), (3, 'Node');

    CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO types VALUES (1, 'ADDED'), (2, 'MODIFIED'), (3, 'DELETED'), (4, 'BOOKMARK'), (5, 'LIST_END'),
      (6, 'SYNC'), (7, 'CONFIG'), (8, 'NOTICE');

    -- One row for each life of an object, and one without a name for the bookmarks of each kind. No id is given twice:
    -- readers remember what they mean.
    CREATE TABLE objects (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      kind INTEGER NOT NULL,
      namespace TEXT NOT NULL,
      name TEXT NOT NULL,
      uid TEXT NOT NULL,
      -- The record with which the object was deleted, or replaced by another of its name; null while it lives.
      ended_seq INTEGER
    );
    CREATE INDEX objects_by_name ON objects (namespace, name, kind, uid);

    -- The Services that an EndpointSlice belongs, or belonged, to.
    CREATE TABLE slice_services (
      namespace TEXT NOT NULL,
      service TEXT NOT NULL,
      object_id INTEGER NOT NULL,
      PRIMARY KEY (namespace, service, object_id)
    ) WITHOUT ROWID;

    CREATE TABLE authors (
      id INTEGER PRIMARY KEY,
      manager TEXT NOT NULL,
      operation TEXT NOT NULL,
      subresource TEXT NOT NULL,
      UNIQUE (manager, operation, subresource)
    );

    CREATE TABLE records (
      seq INTEGER PRIMARY KEY,
      type INTEGER NOT NULL,
      flags INTEGER NOT NULL,
      observed_at INTEGER NOT NULL,
      object_id INTEGER,
      resource_version,
      author_id INTEGER,
      author_time INTEGER,
      patch TEXT
    );
    CREATE UNIQUE INDEX records_by_object ON records (object_id, resource_version, type) WHERE object_id IS NOT NULL;
    CREATE INDEX records_of_engine ON records (type, flags) WHERE object_id IS NULL;

    -- How many records there are of a type and kind (0: of none).
    CREATE TABLE counts (
      type INTEGER NOT NULL, kind INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (type, kind)
    ) WITHOUT ROWID;

    CREATE TABLE snapshots (
      seq INTEGER PRIMARY KEY, observed_at INTEGER NOT NULL, received TEXT NOT NULL, objects INTEGER NOT NULL
    );
    -- Brotli of lines: object id, a space, the object as kept. In order of id.
    CREATE TABLE snapshot_chunks (
      id INTEGER PRIMARY KEY AUTOINCREMENT, snapshot_seq INTEGER NOT NULL, first_object_id INTEGER NOT NULL, lines BLOB NOT NULL
    );
    CREATE UNIQUE INDEX chunks_by_object ON snapshot_chunks (snapshot_seq, first_object_id);

    CREATE VIEW history AS
      SELECT r.seq, strftime('%Y-%m-%dT%H:%M:%fZ', r.observed_at / 1000.0, 'unixepoch') AS at, t.name AS type,
        k.name AS kind, nullif(o.namespace, '') AS namespace, nullif(o.name, '') AS name, r.resource_version,
        a.manager AS author, r.patch
      FROM records r JOIN types t ON t.id = r.type
        LEFT JOIN objects o ON o.id = r.object_id LEFT JOIN kinds k ON k.id = o.kind
        LEFT JOIN authors a ON a.id = r.author_id;
  `)
}

/** Version 2: ServiceCIDR is a kind. Programs that know version 1 alone refuse the log, instead of taking such a record for damage. */
function addServiceCidr(db: Database.Database): void {
  db.exec("INSERT INTO kinds VALUES (4, 'ServiceCIDR')")
}

/**
 * Version 3: authors that an API audit log names have their requester (JSON; empty: not known), a row for each. The constraint of the table
 * needs another table; the view names it, and is made anew.
 */
function addRequesters(db: Database.Database): void {
  const view = db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'history'").pluck().get()
  db.exec(`
    DROP VIEW history;
    CREATE TABLE authors_3 (
      id INTEGER PRIMARY KEY,
      manager TEXT NOT NULL,
      operation TEXT NOT NULL,
      subresource TEXT NOT NULL,
      requester TEXT NOT NULL,
      UNIQUE (manager, operation, subresource, requester)
    );
    INSERT INTO authors_3 SELECT id, manager, operation, subresource, '' FROM authors;
    DROP TABLE authors;
    ALTER TABLE authors_3 RENAME TO authors;
    ${String(view)}
  `)
}

/** Steps that add meanings and change none: a log is read as well before them. */
const READABLE_BEFORE: ReadonlySet<Migration> = new Set([addServiceCidr, addRequesters])

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
  if (migrations.slice(version).some((step) => !READABLE_BEFORE.has(step)))
    throw new ChangeLogError('LOG_TOO_OLD', { file, detail: `version ${version}, needed ${known}` })
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
