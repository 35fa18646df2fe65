import type { JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { NO_SEQ, type Seq, seq, type SyncRecord } from '../../model/record.js'
import type { ChangeLogReader, LogInfo, ObjectsAt } from '../../ports/change-log.js'
import { checkCount, MAX_TIME, whole } from './checked-values.js'
import { Damage, toChangeLogError } from './errors.js'
import { loadObjects } from './load-objects.js'
import type { LogTables } from './log-tables.js'
import { floorOf } from './meta.js'
import { checkRow, engineRecord, READ_COLUMNS } from './record-codec.js'
import { readRecords } from './read-records.js'
import { CODES_OF_TYPE, kindOfCode, TYPE_CODES } from './schema.js'

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

  const eachObjectAt = (position: Seq, visit: (object: KubernetesObject) => void): Omit<ObjectsAt, 'objects'> =>
    guard(file, () =>
      db.transaction(() => {
        const last = Math.min(position, tables.head())
        const loaded = loadObjects(tables, last)
        for (const id of loaded.ids) visit(loaded.take(id) as KubernetesObject)
        return { seq: last === 0 ? NO_SEQ : seq(last), received: loaded.received }
      })(),
    )

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
    objectsAt: (position) => {
      const objects: KubernetesObject[] = []
      const at = eachObjectAt(position, (object) => objects.push(object))
      return { ...at, objects }
    },
    eachObjectAt,
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
    kinds: { Service: kindCount('Service'), EndpointSlice: kindCount('EndpointSlice'), Node: kindCount('Node') },
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
