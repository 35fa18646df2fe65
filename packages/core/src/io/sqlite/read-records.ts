import type { LogRecord } from '../../model/record.js'
import type { RecordFilter } from '../../ports/change-log.js'
import { selectSeqs } from './select-seqs.js'
import { loadObjectById, loadObjects, refusePruned } from './load-objects.js'
import { type LogTables, PAGE_CHARACTERS } from './log-tables.js'
import { floorOf } from './meta.js'
import { bookmarkRecord, engineRecord, isFull, loadObject, objectRecord, type RecordRow } from './record-codec.js'
import { CODES_OF_TYPE, TYPE_CODES } from './schema.js'
import { createVersions, type Versions } from './versions.js'

/** Rows read at a time. No statement stays open between two pages, so that reading never holds up the writer. */
const PAGE = 512

/** The positions to read: both bounds are inclusive. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly descending: boolean
  /** Records wanted. */
  readonly limit: number
}

/** Records in order of their positions; those that come after it has begun are left out. */
export function* readRecords(tables: LogTables, filter: RecordFilter = {}): Generator<LogRecord> {
  const floor = floorOf(tables.meta)
  const span: Span = {
    from: Math.max(filter.fromSeq ?? 1, floor + 1),
    to: Math.min(filter.toSeq ?? Number.MAX_SAFE_INTEGER, tables.head()),
    descending: filter.descending ?? false,
    limit: filter.limit ?? Number.POSITIVE_INFINITY,
  }
  if (span.from > span.to || span.limit <= 0) return
  const seqs = selectSeqs(tables.db, filter, span)
  const pages = seqs === undefined ? scan(tables, filter, span) : fetch(tables, seqs, span)
  if (span.descending) {
    // Versions are built forwards even when records are asked for backwards.
    for (const page of pages) yield* [...decodeRows(tables, [...page].reverse(), createVersions())].reverse()
    return
  }
  // A long scan meets most objects: loading all at its beginning is cheaper than one by one.
  const preload = seqs === undefined && span.limit > PAGE && span.from > floor + 1
  const versions = preload ? loadObjects(tables, span.from - 1).toVersions() : createVersions()
  for (const page of pages) yield* decodeRows(tables, page, versions)
}

function* scan(
  tables: LogTables,
  { types }: RecordFilter,
  { from, to, descending, limit }: Span,
): Generator<readonly RecordRow[]> {
  const codes = types?.flatMap((type) => CODES_OF_TYPE[type])
  let left = limit
  let next = descending ? to : from
  while (left > 0) {
    const count = Math.min(PAGE, left)
    const rows = descending ? tables.rangeDown(from, next, count) : tables.range(next - 1, to, count)
    const last = rows[rows.length - 1]
    // A gap would go unseen, and what follows would be applied to what was before it.
    if (!descending) refusePruned(tables, next - 1)
    if (last === undefined) return
    const wanted = codes === undefined ? rows : rows.filter(([, type]) => codes.includes(type))
    yield wanted
    left -= wanted.length
    next = descending ? last[0] - 1 : last[0] + 1
  }
}

function* fetch(tables: LogTables, seqs: readonly number[], { limit }: Span): Generator<readonly RecordRow[]> {
  const wanted = seqs.slice(0, limit)
  let rows: RecordRow[] = []
  let characters = 0
  for (const seq of wanted) {
    const row = tables.record(seq)
    if (row === undefined) {
      refusePruned(tables, seq - 1)
      continue
    }
    rows.push(row)
    characters += row[8]?.length ?? 0
    if (rows.length < PAGE && characters < PAGE_CHARACTERS) continue
    yield rows
    rows = []
    characters = 0
  }
  yield rows
}

function* decodeRows(tables: LogTables, rows: readonly RecordRow[], versions: Versions): Generator<LogRecord> {
  for (const row of rows) yield decodeRow(tables, row, versions)
}

function decodeRow(tables: LogTables, row: RecordRow, versions: Versions): LogRecord {
  const [seq, type, , , objectId, , authorId, authorTime] = row
  if (objectId === null) return engineRecord(row)
  const objectRow = tables.object(objectId)
  if (type > TYPE_CODES.DELETED) return bookmarkRecord(row, objectRow)
  const author = tables.authors.authorOf(authorId, authorTime)
  const previous = versions.get(objectId) ?? (isFull(row) ? undefined : loadObjectById(tables, objectId, seq - 1))
  const object = loadObject(row, previous, author)
  if (type === TYPE_CODES.DELETED) versions.delete(objectId)
  else versions.set(objectId, object)
  return objectRecord(row, { objectRow, object, author })
}
