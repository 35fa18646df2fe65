import type { KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { atOnce } from '../../model/language.js'
import { ChangeLogError } from '../../ports/change-log.js'
import type { Place } from './checked-values.js'
import { Damage } from './errors.js'
import { floorOf, type LogTables } from './log-tables.js'
import {
  createVersions,
  fromLine,
  packedLine,
  type PackedVersion,
  packVersion,
  sizeOfPacked,
  type Versions,
} from './packed-version.js'
import { isFull, loadObject, type RecordRow } from './record-codec.js'
import { kindOfCode, TYPE_CODES } from './schema.js'

/** Objects that live at a position, each made when it is taken: until then they are text. */
export interface LoadedObjects {
  /** In order. */
  readonly ids: readonly number[]
  /** Forgets the object: what is taken one by one takes the memory of one. */
  take(id: number): KubernetesObject | undefined
  /** The same, to go on from there. */
  toVersions(): Versions
  readonly received: Set<ObjectKind>
}

const PAGE = 4096
const ROWS_A_STEP = 1024

/**
 * Characters of text that a log's objects may have at one position: a snapshot is packed, and a small file can claim an
 * enormous one. Packed objects take a tenth of their text; 32 MB are objects of 10,000 Services.
 */
const textLimit = (db: LogTables['db']): number =>
  Math.max(
    32 * 1024 * 1024,
    32 * Number(db.pragma('page_count', { simple: true })) * Number(db.pragma('page_size', { simple: true })),
  )

/** All objects that live at a position: the snapshot before it, and the records since. Throws LOG_PRUNED below the floor. */
export const loadObjects = (tables: LogTables, seq: number): LoadedObjects => atOnce(loadingObjects(tables, seq))

/** The same in steps: it yields after each page of records. */
export function* loadingObjects(tables: LogTables, seq: number): Generator<undefined, LoadedObjects, undefined> {
  refusePruned(tables, seq)
  const snapshot = tables.snapshots.before(seq)
  const from = snapshot?.seq ?? 0
  const received = new Set(snapshot?.received)
  const lines = new Map<number, string>()
  const changes = new Map<number, RecordRow[]>()
  const limit = textLimit(tables.db)
  let characters = 0
  const hold = (text: string, place: Place): void => {
    characters += text.length
    if (characters > limit) throw new Damage(place, `the objects up to there have more than ${limit} characters`)
  }
  const forget = (id: number): void => {
    characters -= lines.get(id)?.length ?? 0
    for (const row of changes.get(id) ?? []) characters -= row[8]?.length ?? 0
    lines.delete(id)
    changes.delete(id)
  }

  if (snapshot !== undefined) {
    for (const [id, line] of tables.snapshots.lines(from)) {
      hold(line, `snapshot ${from}`)
      lines.set(id, line)
    }
    if (lines.size !== snapshot.objects)
      throw new Damage(`snapshot ${from}`, `it has ${lines.size} objects and should have ${snapshot.objects}`)
  }
  let rows = 0
  for (const row of pages(tables, from, seq)) {
    if (++rows % ROWS_A_STEP === 0) yield
    const [, type, , , id] = row
    if (id === null) continue
    if (type === TYPE_CODES.LIST_END) received.add(kindOfCode(tables.object(id)[0]))
    if (type > TYPE_CODES.DELETED) continue
    if (type === TYPE_CODES.DELETED || isFull(row)) forget(id)
    if (type === TYPE_CODES.DELETED) continue
    hold(row[8] ?? '', `seq ${row[0]}`)
    const earlier = changes.get(id)
    if (earlier === undefined) changes.set(id, [row])
    else earlier.push(row)
  }
  // Objects that another one of their name replaced have no record of their own that says so.
  const ended = tables.db.prepare('SELECT id FROM objects WHERE ended_seq > ? AND ended_seq <= ?').pluck()
  for (const id of ended.all(from, seq) as number[]) forget(id)

  const take = (id: number): KubernetesObject | undefined => {
    const line = lines.get(id)
    const rows = changes.get(id) ?? []
    forget(id)
    return applyRows(tables, rows, line === undefined ? undefined : fromLine(line, id))
  }
  const ids = [...new Set([...lines.keys(), ...changes.keys()])].sort((a, b) => a - b)
  return {
    ids,
    take,
    toVersions() {
      const versions = createVersions()
      for (const id of ids) {
        const line = changes.has(id) ? undefined : lines.get(id)
        const object = line === undefined ? take(id) : undefined
        if (line !== undefined) versions.setLine(id, line)
        else if (object !== undefined) versions.set(id, object)
      }
      return versions
    },
    received,
  }
}

function applyRows(
  tables: LogTables,
  rows: readonly RecordRow[],
  before: KubernetesObject | undefined,
): KubernetesObject | undefined {
  return rows.reduce<KubernetesObject | undefined>(
    (object, row) => loadObject(row, object, tables.authors.authorOf(row[6], row[7])),
    before,
  )
}

function* pages(tables: LogTables, after: number, to: number): Generator<RecordRow> {
  let last = after
  for (;;) {
    const rows = tables.range(last, to, PAGE)
    const end = rows[rows.length - 1]
    if (end === undefined) return
    yield* rows
    last = end[0]
  }
}

/** One object at a position, where its life is not over; undefined before its first record. */
export function loadObjectById(tables: LogTables, id: number, seq: number): KubernetesObject | undefined {
  refusePruned(tables, seq)
  const from = tables.snapshots.before(seq)?.seq ?? 0
  const line = from === 0 ? undefined : tables.snapshots.line(from, id)
  const rows = tables.seqsOf(id, from, seq).flatMap((position) => {
    const row = tables.record(position)
    return row === undefined ? [] : [row]
  })
  return applyRows(tables, rows, line === undefined ? undefined : fromLine(line, id))
}

/** The present version of each object that lives, as text: of those used last in memory, of the others in the log. */
export interface HeldVersions {
  get(id: number): PackedVersion | undefined
  set(id: number, packed: PackedVersion): void
  delete(id: number): void
  /** The lines of a snapshot of these objects. */
  lines(ids: readonly number[]): Iterable<readonly [id: number, line: string]>
}

/**
 * `limit`: characters of text that are held; Infinity: all objects are read at once and held. What is not held is read from
 * the log as it is needed, so that its records have to be written before.
 */
export function holdVersions(tables: LogTables, limit: number): HeldVersions & { readonly received: Set<ObjectKind> } {
  const held = new Map<number, PackedVersion>()
  let characters = 0
  const forget = (id: number): void => {
    const packed = held.get(id)
    if (packed === undefined) return
    characters -= sizeOfPacked(packed)
    held.delete(id)
  }
  const set = (id: number, packed: PackedVersion): void => {
    forget(id)
    held.set(id, packed)
    characters += sizeOfPacked(packed)
    // The one used longest ago comes first.
    for (const oldest of held.keys()) {
      if (characters <= limit || oldest === id) break
      forget(oldest)
    }
  }
  const presentOf = (id: number): KubernetesObject => {
    const object = loadObjectById(tables, id, tables.head())
    if (object === undefined) throw new Damage(`object ${id}`, 'it lives, and no record of it is found')
    return object
  }
  const get = (id: number): PackedVersion | undefined => {
    const known = held.get(id)
    if (known !== undefined) {
      if (limit === Infinity) return known
      held.delete(id)
      held.set(id, known)
      return known
    }
    if (limit === Infinity) return undefined
    const object = loadObjectById(tables, id, tables.head())
    if (object === undefined) return undefined
    const packed = packVersion(object)
    set(id, packed)
    return packed
  }
  const received = limit === Infinity ? hold() : receivedBy(tables)
  function hold(): Set<ObjectKind> {
    const loaded = loadObjects(tables, tables.head())
    for (const id of loaded.ids) set(id, packVersion(loaded.take(id) as KubernetesObject))
    return loaded.received
  }

  return {
    get,
    set,
    delete: forget,
    *lines(ids) {
      const from = tables.snapshots.before(tables.head())?.seq ?? 0
      const changed = new Set(changedSince(tables, from))
      const earlier = from === 0 ? undefined : tables.snapshots.lines(from)[Symbol.iterator]()
      let line = earlier?.next()
      for (const id of ids) {
        while (line?.done === false && line.value[0] < id) line = earlier?.next()
        if (line?.done === false && line.value[0] === id && !changed.has(id)) yield [id, line.value[1]]
        else yield [id, packedLine(held.get(id) ?? packVersion(presentOf(id)))]
      }
    },
    received,
  }
}

const changedSince = ({ db }: LogTables, from: number): readonly number[] =>
  db
    .prepare(`SELECT DISTINCT object_id FROM records WHERE seq > ? AND type <= ${TYPE_CODES.DELETED}`)
    .pluck()
    .all(from) as number[]

/** The kinds whose list had been received whole. */
function receivedBy(tables: LogTables): Set<ObjectKind> {
  const snapshot = tables.snapshots.before(tables.head())
  const ends = tables.db
    .prepare(
      `SELECT DISTINCT o.kind FROM objects o JOIN records r ON r.object_id = o.id WHERE o.name = '' AND r.type = ${TYPE_CODES.LIST_END}`,
    )
    .pluck()
  return new Set([...(snapshot?.received ?? []), ...(ends.all() as number[]).map(kindOfCode)])
}

export function refusePruned(tables: LogTables, seq: number): void {
  const floor = floorOf(tables.meta)
  if (seq < floor)
    throw new ChangeLogError('LOG_PRUNED', {
      file: tables.file,
      detail: `asked for ${seq}, the log begins after ${floor}`,
    })
}
