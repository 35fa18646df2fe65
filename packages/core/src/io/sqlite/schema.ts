import type Database from 'better-sqlite3'
import type { ObjectKind } from '../../model/kubernetes-object.js'
import type { LogRecord, ObjectRecord } from '../../model/record.js'
import { Damage } from './errors.js'

/** Marks a SQLite file as a change log ("PnTs"). https://www.sqlite.org/fileformat.html#application_id */
export const APPLICATION_ID = 0x506e5473

/** What is on disk. Numbers are contracts with every log that was ever written: add, never change. */
export const KIND_CODES: { readonly [kind in ObjectKind]: number } = { Service: 1, EndpointSlice: 2, Node: 3 }

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

const KINDS_BY_CODE: readonly (ObjectKind | undefined)[] = [undefined, 'Service', 'EndpointSlice', 'Node']
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

export const MIGRATIONS: readonly Migration[] = [createTables]

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
