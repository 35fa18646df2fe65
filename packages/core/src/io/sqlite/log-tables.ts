import type Database from 'better-sqlite3'
import { type Authors, createAuthors } from './authors.js'
import { ChangeLogError } from './errors.js'
import { createMeta, type Meta } from './meta.js'
import { type ObjectRow, RECORD_COLUMNS, type RecordRow } from './record-codec.js'
import { createSnapshots, type Snapshots } from './snapshots.js'

/** The tables of an open log that reading and writing share, with their statements prepared. */
export interface LogTables {
  readonly db: Database.Database
  readonly file: string
  readonly meta: Meta
  readonly authors: Authors
  readonly snapshots: Snapshots
  /** The last position; 0 in an empty log. */
  head(): number
  record(seq: number): RecordRow | undefined
  /** Records after a position up to another, in order; at most so many. */
  range(after: number, to: number, limit: number): readonly RecordRow[]
  /** Records from a position down from another, newest first; at most so many. */
  rangeDown(from: number, to: number, limit: number): readonly RecordRow[]
  /** Positions of an object's records after a position up to another, in order. */
  seqsOf(objectId: number, after: number, to: number): readonly number[]
  object(id: number): ObjectRow
}

/** Names of objects that are remembered. */
const CACHED_OBJECTS = 20_000

export function createLogTables(db: Database.Database, file: string): LogTables {
  const head = db.prepare('SELECT max(seq) FROM records').pluck()
  const record = db.prepare(`SELECT ${RECORD_COLUMNS} FROM records WHERE seq = ?`).raw()
  const range = db
    .prepare(`SELECT ${RECORD_COLUMNS} FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`)
    .raw()
  const rangeDown = db
    .prepare(`SELECT ${RECORD_COLUMNS} FROM records WHERE seq >= ? AND seq <= ? ORDER BY seq DESC LIMIT ?`)
    .raw()
  const seqsOf = db.prepare('SELECT seq FROM records WHERE object_id = ? AND seq > ? AND seq <= ? ORDER BY seq').pluck()
  const object = db.prepare('SELECT kind, namespace, name, uid FROM objects WHERE id = ?').raw()
  const objects = new Map<number, ObjectRow>()
  return {
    db,
    file,
    meta: createMeta(db),
    authors: createAuthors(db),
    snapshots: createSnapshots(db),
    head: () => (head.get() as number | null) ?? 0,
    record: (seq) => record.get(seq) as RecordRow | undefined,
    range: (after, to, limit) => range.all(after, to, limit) as RecordRow[],
    rangeDown: (from, to, limit) => rangeDown.all(from, to, limit) as RecordRow[],
    seqsOf: (objectId, after, to) => seqsOf.all(objectId, after, to) as number[],
    object(id) {
      const known = objects.get(id)
      if (known !== undefined) return known
      const row = object.get(id) as ObjectRow | undefined
      if (row === undefined) throw new ChangeLogError('LOG_DAMAGED', { file, detail: `no object has the id ${id}` })
      if (objects.size >= CACHED_OBJECTS) objects.clear()
      objects.set(id, row)
      return row
    },
  }
}
