import type { KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { ChangeLogError } from './errors.js'
import type { LogTables } from './log-tables.js'
import { floorOf } from './meta.js'
import { fromLine } from './packed-version.js'
import { loadObject, type RecordRow } from './record-codec.js'
import { kindOfCode, TYPE_CODES } from './schema.js'
import { createVersions, type Versions } from './versions.js'

export interface LoadedObjects {
  /** Live objects. */
  readonly versions: Versions
  readonly received: Set<ObjectKind>
}

const PAGE = 4096

/**
 * All objects that live at a position: the snapshot before it, and the records since; not many more than `parsed` of them
 * as objects, the others as text. Throws LOG_PRUNED below the floor.
 */
export function loadObjects(
  tables: LogTables,
  seq: number,
  { parsed = Number.POSITIVE_INFINITY }: { readonly parsed?: number } = {},
): LoadedObjects {
  refusePruned(tables, seq)
  const snapshot = tables.snapshots.before(seq)
  const from = snapshot?.seq ?? 0
  const versions = createVersions({ parsed })
  const received = new Set(snapshot?.received)
  if (snapshot !== undefined) for (const [id, line] of tables.snapshots.lines(from)) versions.setLine(id, line)
  for (const row of pages(tables, from, seq)) {
    const [, type, , , objectId] = row
    if (objectId === null) continue
    if (type === TYPE_CODES.LIST_END) received.add(kindOfCode(tables.object(objectId)[0]))
    else if (type <= TYPE_CODES.DELETED) step(tables, versions, row, objectId)
  }
  // Objects that another one of their name replaced have no record of their own that says so.
  const ended = tables.db.prepare('SELECT id FROM objects WHERE ended_seq > ? AND ended_seq <= ?').pluck()
  for (const id of ended.all(from, seq) as number[]) versions.delete(id)
  return { versions, received }
}

function step(tables: LogTables, versions: Versions, row: RecordRow, objectId: number): void {
  if (row[1] === TYPE_CODES.DELETED) return versions.delete(objectId)
  versions.set(objectId, loadObject(row, versions.get(objectId), tables.authors.authorOf(row[6], row[7])))
}

function* pages(tables: LogTables, after: number, to: number): Generator<RecordRow> {
  let last = after
  for (;;) {
    const rows = tables.range(last, to, PAGE)
    yield* rows
    if (rows.length < PAGE) return
    last = rows[rows.length - 1]?.[0] ?? to
  }
}

/** One object at a position, where its life is not over; undefined before its first record. */
export function loadObjectById(tables: LogTables, id: number, seq: number): KubernetesObject | undefined {
  refusePruned(tables, seq)
  const from = tables.snapshots.before(seq)?.seq ?? 0
  const line = from === 0 ? undefined : tables.snapshots.line(from, id)
  let object = line === undefined ? undefined : fromLine(line)
  for (const position of tables.seqsOf(id, from, seq)) {
    const row = tables.record(position)
    if (row !== undefined) object = loadObject(row, object, tables.authors.authorOf(row[6], row[7]))
  }
  return object
}

export function refusePruned(tables: LogTables, seq: number): void {
  const floor = floorOf(tables.meta)
  if (seq < floor)
    throw new ChangeLogError('LOG_PRUNED', {
      file: tables.file,
      detail: `asked for ${seq}, the log begins after ${floor}`,
    })
}
