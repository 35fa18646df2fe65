import type Database from 'better-sqlite3'
import type { RecordFilter } from '../../ports/change-log.js'
import { whole } from './checked-values.js'
import { CODES_OF_TYPE, KIND_CODES, TYPE_CODES } from './schema.js'
import type { Span } from './read-records.js'

/**
 * The positions of the records that a filter asks for, in the order asked for, found by index; undefined where it asks
 * for most of a span, and reading through is better. Takes eight bytes a record, so that a question about one service is answered from its records alone.
 */
export function selectSeqs(db: Database.Database, filter: RecordFilter, span: Span): readonly number[] | undefined {
  const { types, kinds, object } = filter
  const isScan = object === undefined && kinds === undefined && (types === undefined || types.includes('object'))
  if (isScan) return undefined
  const codes = (types ?? ALL_TYPES).flatMap((type) => CODES_OF_TYPE[type])
  const seqs: number[] = []
  if (object !== undefined) {
    const kindCodes = kinds?.map((kind) => KIND_CODES[kind])
    for (const id of objectIds(db, object)) {
      if (kindCodes === undefined || kindCodes.includes(id.kind)) append(seqs, seqsOfObject(db, id.id, span))
    }
    if (!codes.includes(TYPE_CODES.ADDED)) return []
  } else if (kinds !== undefined) {
    append(seqs, seqsOfKinds(db, { kinds: kinds.map((kind) => KIND_CODES[kind]), codes, span }))
  } else {
    append(seqs, seqsOfTypes(db, codes, span))
  }
  seqs.sort(span.descending ? (a, b) => b - a : (a, b) => a - b)
  return seqs
}

const ALL_TYPES = ['object', 'bookmark', 'sync', 'config', 'notice'] as const

interface ObjectId {
  readonly id: number
  readonly kind: number
}

/** Objects by name, in all their lives, and the slices that belong, or belonged, to a Service of that name. */
function objectIds(
  db: Database.Database,
  { kind, namespace, name }: NonNullable<RecordFilter['object']>,
): readonly ObjectId[] {
  const rows = db
    .prepare(`SELECT id, ${whole('kind')} AS kind FROM objects WHERE namespace = :namespace AND name = :name AND name != ''
      UNION SELECT ${whole('object_id')}, ${KIND_CODES.EndpointSlice} FROM slice_services WHERE namespace = :namespace AND service = :name`)
    .all({ namespace, name }) as ObjectId[]
  return kind === undefined ? rows : rows.filter((row) => row.kind === KIND_CODES[kind])
}

const seqsOfObject = (db: Database.Database, id: number, { from, to }: Span): number[] =>
  db
    .prepare('SELECT seq FROM records WHERE object_id = ? AND seq BETWEEN ? AND ?')
    .pluck()
    .all(id, from, to) as number[]

interface KindsQuery {
  readonly kinds: readonly number[]
  readonly codes: readonly number[]
  readonly span: Span
}

function seqsOfKinds(db: Database.Database, { kinds, codes, span }: KindsQuery): number[] {
  const sql = `SELECT r.seq FROM objects o JOIN records r ON r.object_id = o.id
    WHERE o.kind IN (${kinds.join()}) AND r.type IN (${codes.join()}) AND r.seq BETWEEN ? AND ?`
  return db.prepare(sql).pluck().all(span.from, span.to) as number[]
}

function seqsOfTypes(db: Database.Database, codes: readonly number[], { from, to }: Span): number[] {
  const ofObjects = codes.some((code) => code <= TYPE_CODES.LIST_END)
  const sql = `SELECT seq FROM records WHERE ${ofObjects ? '' : 'object_id IS NULL AND '}type IN (${codes.join()}) AND seq BETWEEN ? AND ?`
  return db.prepare(sql).pluck().all(from, to) as number[]
}

function append(target: number[], items: readonly number[]): void {
  for (const item of items) target.push(item)
}
