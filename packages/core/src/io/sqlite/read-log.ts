import type Database from 'better-sqlite3'
import type { JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { atOnce } from '../../model/language.js'
import { NO_SEQ, seq, type LogRecord, type Seq, type SyncRecord } from '../../model/record.js'
import type { ChangeLogReader, LogInfo, ObjectsAt, RecordFilter } from '../../ports/change-log.js'
import { checkCount, MAX_TIME, whole } from './checked-values.js'
import { Damage, toChangeLogError } from './errors.js'
import { loadingObjects, loadObjectById, loadObjects, refusePruned } from './load-objects.js'
import { floorOf, PAGE_CHARACTERS, type LogTables } from './log-tables.js'
import { createVersions, type Versions } from './packed-version.js'
import { readPositions } from './read-positions.js'
import {
  bookmarkRecord,
  checkRow,
  engineRecord,
  isFull,
  loadObject,
  objectRecord,
  READ_COLUMNS,
  type RecordRow,
} from './record-codec.js'
import { CODES_OF_TYPE, KIND_CODES, kindOfCode, TYPE_CODES } from './schema.js'

/** The reading side of an open log, for a reader's connection and for the writer's own. */
export function createLogReader(tables: LogTables): Omit<ChangeLogReader, 'close'> {
  const { db, file, meta } = tables
  const at = db.prepare(`SELECT seq, ${whole('observed_at')} FROM records WHERE seq >= ? ORDER BY seq LIMIT 1`).raw()
  const snapshotTime = db.prepare(`SELECT ${whole('observed_at')} FROM snapshots WHERE seq = ?`).pluck()
  const engine = db
    .prepare(
      `SELECT ${READ_COLUMNS} FROM records WHERE object_id IS NULL AND type = ? AND flags = 0 AND seq <= ? ORDER BY seq DESC LIMIT 1`,
    )
    .raw()

  const isAlive = db.prepare('SELECT 1 FROM objects WHERE id = :id AND (ended_seq IS NULL OR ended_seq > :last)')
  const timeOf = (position: number): number | undefined => {
    if (position === 0) return undefined
    if (position === floorOf(meta))
      return checkCount(snapshotTime.get(position), `snapshot ${position}`, 'the time', MAX_TIME)
    return position < floorOf(meta) ? undefined : tables.record(position)?.[3]
  }
  const lastOf = (type: number, position: Seq): ReturnType<typeof engineRecord> | undefined => {
    const row = engine.get(type, position) as readonly unknown[] | undefined
    return row === undefined ? undefined : engineRecord(checkRow(row))
  }

  function* walkObjects(
    position: Seq,
    visit: (object: KubernetesObject) => void,
  ): Generator<undefined, Omit<ObjectsAt, 'objects'>, undefined> {
    const last = Math.min(position, tables.head())
    const loaded = yield* loadingObjects(tables, last)
    for (const [at, id] of loaded.ids.entries()) {
      visit(loaded.take(id) as KubernetesObject)
      if (at % OBJECTS_A_STEP === 0) yield
    }
    return { seq: last === 0 ? NO_SEQ : seq(last), received: loaded.received }
  }

  const eachObjectAt = (position: Seq, visit: (object: KubernetesObject) => void): Omit<ObjectsAt, 'objects'> =>
    guard(file, () => db.transaction(() => atOnce(walkObjects(position, visit)))())

  return {
    info: () => guard(file, () => db.transaction(() => readInfo(tables))()),
    seqAt: (time) =>
      guard(file, () => {
        const floor = floorOf(meta)
        const floorTime = timeOf(floor)
        let found = floorTime !== undefined && floorTime <= time ? floor : 0
        let low = floor + 1
        let high = tables.head()
        while (low <= high) {
          const middle = Math.floor((low + high) / 2)
          const [position, value] = (at.get(middle) ?? []) as [number?, unknown?]
          const observedAt = checkCount(value, `seq ${position ?? middle}`, 'the time', MAX_TIME)
          if (position === undefined || position < middle)
            throw new Damage(`seq ${middle}`, 'the record after it is not found')
          if (observedAt <= time) {
            found = position
            low = position + 1
          } else high = middle - 1
        }
        return seq(found)
      }),
    timeOf: (position) => guard(file, () => timeOf(position)),
    *records(filter) {
      const records = readRecords(tables, filter)
      for (;;) {
        const next = guard(file, () => records.next())
        if (next.done === true) return
        yield next.value
      }
    },
    *positions() {
      const positions = readPositions(tables)
      for (;;) {
        const next = guard(file, () => positions.next())
        if (next.done === true) return
        yield next.value
      }
    },
    objectsAt: (position) => {
      const objects: KubernetesObject[] = []
      const at = eachObjectAt(position, (object) => objects.push(object))
      return { ...at, objects }
    },
    eachObjectAt,
    *objectsInSteps(position, visit) {
      try {
        return yield* walkObjects(position, visit)
      } catch (error) {
        throw toChangeLogError(error, file)
      }
    },
    objectAt: (position, { kind, namespace, name }) =>
      guard(file, () => {
        const last = Math.min(position, tables.head())
        const ids = objectIds(db, { kind, namespace, name }).map(({ id }) => id)
        const living = ids.filter((id) => isAlive.get({ id, last }) !== undefined)
        return living.map((id) => loadObjectById(tables, id, last)).find((object) => object !== undefined)
      }),
    configAt: (position) =>
      guard(file, (): JsonObject | undefined => {
        const record = lastOf(TYPE_CODES.CONFIG, position)
        return record?.type === 'config' ? record.config : undefined
      }),
    appliedAt: (position) =>
      guard(file, (): SyncRecord | undefined => {
        const record = lastOf(TYPE_CODES.SYNC, position)
        return record?.type === 'sync' ? record : undefined
      }),
  }
}

/** Some ten milliseconds of work. */
const OBJECTS_A_STEP = 200

/** Runs a piece of reading or writing; what SQLite reports becomes a ChangeLogError. */
export function guard<Result>(file: string, run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    throw toChangeLogError(error, file)
  }
}

function readInfo(tables: LogTables): LogInfo {
  const { db, meta } = tables
  const floor = floorOf(meta)
  const [first] = tables.range(floor, Number.MAX_SAFE_INTEGER, 1)
  const [firstSeq = 0, , , firstAt] = first ?? []
  const lastSeq = tables.head()
  const counts = readCounts(db)
  const countOf = (codes: readonly number[]): number => sum(counts.filter(([type]) => codes.includes(type)))
  const kindCount = (kind: ObjectKind): number =>
    sum(counts.filter(([type, code]) => code !== 0 && type <= TYPE_CODES.DELETED && kindOfCode(code) === kind))
  const clusterId = meta.get('cluster_id')
  const nodeName = meta.get('node_name')
  const bootId = meta.get('boot_id')
  const lastAt = lastSeq === 0 ? undefined : tables.record(lastSeq)?.[3]
  return {
    schemaVersion: Number(db.pragma('user_version', { simple: true })),
    ...(clusterId === undefined ? {} : { clusterId }),
    ...(nodeName === undefined ? {} : { nodeName }),
    firstSeq: seq(firstSeq),
    lastSeq: seq(lastSeq),
    ...(firstAt === undefined ? {} : { firstAt }),
    ...(lastAt === undefined ? {} : { lastAt }),
    counts: {
      object: countOf(CODES_OF_TYPE.object),
      bookmark: countOf(CODES_OF_TYPE.bookmark),
      sync: countOf(CODES_OF_TYPE.sync),
      config: countOf(CODES_OF_TYPE.config),
      notice: countOf(CODES_OF_TYPE.notice),
    },
    kinds: {
      Service: kindCount('Service'),
      EndpointSlice: kindCount('EndpointSlice'),
      Node: kindCount('Node'),
      ServiceCIDR: kindCount('ServiceCIDR'),
    },
    snapshots: Number(db.prepare('SELECT count(*) FROM snapshots').pluck().get()),
    bytes: Number(db.pragma('page_count', { simple: true })) * Number(db.pragma('page_size', { simple: true })),
    applied: meta.applied().flatMap(({ backend, seq: position }) => {
      const row = tables.record(position)
      const record = row === undefined ? undefined : engineRecord(row)
      return record?.type === 'sync' ? [{ backend, seq: record.toSeq, at: record.observedAt }] : []
    }),
    ...(bootId === undefined ? {} : { bootId }),
    pruned: floor > 0,
  }
}

/** A row a type and kind: there are no more of them than there are pairs. */
function readCounts(db: LogTables['db']): readonly Count[] {
  const rows = db
    .prepare(`SELECT ${['type', 'kind', 'count'].map(whole).join()} FROM counts LIMIT 100`)
    .raw()
    .all() as (readonly unknown[])[]
  return rows.map(([type, kind, count]) => [
    checkCount(type, 'meta counts', 'a type', TYPE_CODES.NOTICE),
    checkCount(kind, 'meta counts', 'a kind'),
    checkCount(count, 'meta counts', 'a count'),
  ])
}

type Count = readonly [type: number, kind: number, count: number]

const sum = (counts: readonly Count[]): number => counts.reduce((total, [, , count]) => total + count, 0)

/** Rows read at a time. No statement stays open between two pages, so that reading never holds up the writer. */
const PAGE = 512

/** The positions to read: both bounds are inclusive. */
interface Span {
  readonly from: number
  readonly to: number
  readonly descending: boolean
  /** Records wanted. */
  readonly limit: number
}

/** Records in order of their positions; those that come after it has begun are left out. */
function* readRecords(tables: LogTables, filter: RecordFilter = {}): Generator<LogRecord> {
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

/**
 * The positions of the records that a filter asks for, in the order asked for, found by index; undefined where it asks
 * for most of a span, and reading through is better. Takes eight bytes a record, so that a question about one service is answered from its records alone.
 */
function selectSeqs(db: Database.Database, filter: RecordFilter, span: Span): readonly number[] | undefined {
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
