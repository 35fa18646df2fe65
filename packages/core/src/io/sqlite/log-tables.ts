import { createHash } from 'node:crypto'
import type Database from 'better-sqlite3'
import { type Author, type Requester, requesterFrom } from '../../model/watch-event.js'
import { ChangeLogError } from '../../ports/change-log.js'
import { bounded, checkCount, checkText, whole, type Place } from './checked-values.js'
import { Damage } from './errors.js'
import { checkRow, READ_COLUMNS, type ObjectRow, type RecordRow } from './record-codec.js'
import { kindOfCode, TYPE_CODES } from './schema.js'
import { createSnapshots, type Snapshots } from './snapshots.js'

/** What the log knows of itself. */
interface Meta {
  get(key: 'cluster_id' | 'node_name' | 'boot_id'): string | undefined
  floor(): number
  set(key: MetaKey, value: string | number): void
  /** The position of the last successful sync of each backend. */
  applied(): readonly { readonly backend: string; readonly seq: number }[]
}

type MetaKey =
  /** uid of the Service default/kubernetes. */
  | 'cluster_id'
  | 'node_name'
  | 'boot_id'
  /** Everything up to this position was pruned; a snapshot of this position holds what was there. */
  | 'floor'
  | `applied/${string}`

function createMeta(db: Database.Database): Meta {
  const get = db.prepare(`SELECT ${bounded('value')} FROM meta WHERE key = ?`).pluck()
  const floor = db.prepare(`SELECT ${whole('value')} FROM meta WHERE key = 'floor'`).pluck()
  const set = db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const applied = db
    .prepare(
      `SELECT ${bounded('key')}, ${whole('value')} FROM meta WHERE key >= 'applied/' AND key < 'applied0' ORDER BY key`,
    )
    .raw()
  return {
    get(key) {
      const value = get.get(key)
      if (value === undefined) return undefined
      return checkText(value, `meta ${key}`, 'the value')
    },
    floor: () => checkCount(floor.get() ?? 0, 'meta floor', 'the position'),
    set: (key, value) => void set.run(key, typeof value === 'number' ? BigInt(value) : value),
    applied: () =>
      (applied.all() as [unknown, unknown][]).map(([key, seq]) => ({
        backend: checkText(key, 'meta applied', 'the key').slice('applied/'.length),
        seq: checkCount(seq, 'meta applied', 'the position'),
      })),
  }
}

export const floorOf = (meta: Meta): number => meta.floor()

/** How many records there are of each type and kind, so that nobody has to count a million. */
interface Counts {
  add(type: number, kind: number): void
  /** Writes what was added since the last time. */
  flush(): void
}

export function createCounts(db: Database.Database): Counts {
  const upsert = db.prepare(
    'INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count',
  )
  const added = new Map<number, number>()
  return {
    add(type, kind) {
      const key = type * 10 + kind
      added.set(key, (added.get(key) ?? 0) + 1)
    },
    flush() {
      for (const [key, count] of added) upsert.run(Math.floor(key / 10), key % 10, count)
      added.clear()
    },
  }
}

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
  const record = db.prepare(`SELECT ${READ_COLUMNS} FROM records WHERE seq = ?`).raw()
  const range = db.prepare(`SELECT ${READ_COLUMNS} FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`).raw()
  const rangeDown = db
    .prepare(`SELECT ${READ_COLUMNS} FROM records WHERE seq >= ? AND seq <= ? ORDER BY seq DESC LIMIT ?`)
    .raw()
  const seqsOf = db.prepare('SELECT seq FROM records WHERE object_id = ? AND seq > ? AND seq <= ? ORDER BY seq').pluck()
  const object = db
    .prepare(`SELECT ${whole('kind')}, ${['namespace', 'name', 'uid'].map(bounded).join()} FROM objects WHERE id = ?`)
    .raw()
  const objects = new Map<number, ObjectRow>()
  const tables: LogTables = {
    db,
    file,
    meta: createMeta(db),
    authors: createAuthors(db),
    snapshots: createSnapshots(db),
    head: () => checkHead(head.get()),
    record(seq) {
      const row = record.get(seq) as readonly unknown[] | undefined
      return row === undefined ? undefined : checkRow(row)
    },
    range: (after, to, limit) => page(range.iterate(after, to, limit), after, 1),
    rangeDown: (from, to, limit) => page(rangeDown.iterate(from, to, limit), to + 1, -1),
    seqsOf: (objectId, after, to) => seqsOf.all(objectId, after, to) as number[],
    object(id) {
      const known = objects.get(id)
      if (known !== undefined) return known
      const found = object.get(id) as readonly unknown[] | undefined
      if (found === undefined) throw new ChangeLogError('LOG_DAMAGED', { file, detail: `no object has the id ${id}` })
      const row = checkObjectRow(found, `object ${id}`)
      if (objects.size >= CACHED_OBJECTS) objects.clear()
      objects.set(id, row)
      return row
    },
  }
  db.transaction(() => checkEnds(tables))()
  return tables
}

/** The first and the last position, and the snapshot that stands for what was pruned. */
function checkEnds(tables: LogTables): void {
  const { db, meta, snapshots } = tables
  const first: unknown = db.prepare('SELECT min(seq) FROM records').pluck().get()
  if (first !== null && checkCount(first, `seq ${Number(first)}`, 'the position') === 0)
    throw new Damage('seq 0', 'positions begin with 1')
  const last = tables.head()
  const floor = meta.floor()
  if (floor > last) throw new Damage('meta floor', `it is ${floor}, and the last record is ${last}`)
  if (floor > 0 && snapshots.before(floor)?.seq !== floor)
    throw new Damage(`snapshot ${floor}`, 'it is missing, and so are the records before it')
}

/** Text of a page of rows: a page ends with the row that goes beyond it. */
export const PAGE_CHARACTERS = 8 * 1024 * 1024

/** Rows as far as a page goes. Positions out of order are damage: a b-tree whose pages lead back has no end. */
function page(rows: Iterable<unknown>, before: number, direction: 1 | -1): readonly RecordRow[] {
  const taken: RecordRow[] = []
  let last = before
  let characters = 0
  for (const candidate of rows) {
    const row = checkRow(candidate as readonly unknown[])
    if ((row[0] - last) * direction <= 0) throw new Damage(`seq ${row[0]}`, `it stands after ${last}`)
    last = row[0]
    taken.push(row)
    characters += row[8]?.length ?? 0
    if (characters > PAGE_CHARACTERS) break
  }
  return taken
}

function checkHead(head: unknown): number {
  if (head === null) return 0
  const position = checkCount(head, `seq ${Number(head)}`, 'the last position')
  if (position === 0) throw new Damage('seq 0', 'positions begin with 1')
  return position
}

export function checkObjectRow([kind, ...texts]: readonly unknown[], place: Place): ObjectRow {
  const code = checkCount(kind, place, 'the kind')
  kindOfCode(code)
  const [namespace, name, uid] = texts.map((text) => checkText(text, place, 'a name'))
  return [code, namespace ?? '', name ?? '', uid ?? '']
}

/** Authors as the log holds them: each once, with a number; the time of a change stands in its record. */
interface Authors {
  idOf(author: Author): number
  /** Undefined where the record names none. */
  authorOf(id: number | null, time: number | null): Author | undefined
  /** Forgets what a transaction that was rolled back had added. */
  reset(): void
}

type AuthorRow = readonly [manager: string, operation: string, subresource: string, requester: string]

function createAuthors(db: Database.Database): Authors {
  // A log of a version before the third has no requesters; a reader does not migrate it.
  const hasRequesters =
    db.prepare("SELECT 1 FROM pragma_table_info('authors') WHERE name = 'requester'").get() !== undefined
  const columns = ['manager', 'operation', 'subresource'].map(bounded).join()
  const byId = db
    .prepare(`SELECT ${columns}, ${hasRequesters ? bounded('requester') : "''"} FROM authors WHERE id = ?`)
    .raw()
  let statements: { readonly find: Database.Statement; readonly insert: Database.Statement } | undefined
  const writing = (): NonNullable<typeof statements> =>
    (statements ??= {
      find: db
        .prepare('SELECT id FROM authors WHERE manager = ? AND operation = ? AND subresource = ? AND requester = ?')
        .pluck(),
      insert: db.prepare('INSERT INTO authors (manager, operation, subresource, requester) VALUES (?, ?, ?, ?)'),
    })
  const ids = new Map<string, number>()
  const authors = new Map<number, Author>()

  const load = (id: number): Author | undefined => {
    const row = byId.get(id) as AuthorRow | undefined
    if (row === undefined) return undefined
    for (const text of row) checkText(text, `author ${id}`, 'a name')
    const [manager, operation, subresource, stored] = row
    const requester = stored === '' ? undefined : parseRequester(stored)
    if (stored !== '' && requester === undefined) throw new Damage(`author ${id}`, 'the requester is not one')
    const author = {
      manager,
      operation,
      ...(subresource === '' ? {} : { subresource }),
      ...(requester === undefined ? {} : { requester }),
    }
    authors.set(id, author)
    return author
  }

  return {
    idOf({ manager, operation, subresource = '', requester }) {
      const sent = requester === undefined ? '' : JSON.stringify(requester)
      const key = `${manager}\n${operation}\n${subresource}\n${sent}`
      const known = ids.get(key)
      if (known !== undefined) return known
      const { find, insert } = writing()
      const found = find.get(manager, operation, subresource, sent) as number | undefined
      const id = found ?? Number(insert.run(manager, operation, subresource, sent).lastInsertRowid)
      ids.set(key, id)
      return id
    },
    authorOf(id, time) {
      const author = id === null ? undefined : (authors.get(id) ?? load(id))
      return author === undefined || time === null ? author : { ...author, time }
    },
    reset: () => ids.clear(),
  }
}

function parseRequester(text: string): Requester | undefined {
  try {
    return requesterFrom(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** The notices of a log, by their time and text. */
interface LoggedNotices {
  /** The position of the notice; undefined where the log does not hold it. */
  find(observedAt: number, text: string): number | undefined
  /** A notice was appended. */
  add(notice: NoticeAdded): void
}

interface NoticeAdded {
  readonly observedAt: number
  readonly text: string
  readonly position: number
  /** Later than all records. */
  readonly isLater: boolean
}

/**
 * Finds a notice that is in the log: an import that is run again meets the lines again that it could not read. Remembers the
 * notices of one time, because such lines are many, and have the time of the event before them.
 */
export function createNotices({ db }: LogTables): LoggedNotices {
  const next = db.prepare('SELECT seq, observed_at FROM records WHERE seq >= ? ORDER BY seq LIMIT 1').raw()
  const from = db
    .prepare(
      `SELECT seq, observed_at, object_id IS NULL AND type = ${TYPE_CODES.NOTICE} AND flags = 0, ${bounded('patch')} FROM records WHERE seq >= ? ORDER BY seq`,
    )
    .raw()
  const last = db.prepare('SELECT max(seq) FROM records').pluck()
  let remembered: { readonly at: number; readonly seqs: Map<string, number> } | undefined
  const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64')

  /** The first position whose time is not before this one: positions go up with time. */
  const firstAt = (observedAt: number): number => {
    let [low, high] = [1, Number(last.get() ?? 0) + 1]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [position, at] = (next.get(middle) ?? [high, Infinity]) as readonly number[]
      if (at === undefined || position === undefined || at >= observedAt) high = middle
      else low = position + 1
    }
    return low
  }

  const noticesAt = (observedAt: number): Map<string, number> => {
    const seqs = new Map<string, number>()
    for (const row of from.iterate(firstAt(observedAt))) {
      const [position, at, isNotice, text] = row as readonly unknown[]
      if (at !== observedAt) break
      if (isNotice === 1 && typeof text === 'string') seqs.set(digestOf(text), Number(position))
    }
    return seqs
  }

  return {
    find(observedAt, text) {
      if (remembered?.at !== observedAt) remembered = { at: observedAt, seqs: noticesAt(observedAt) }
      return remembered.seqs.get(digestOf(text))
    },
    add({ observedAt, text, position, isLater }) {
      if (isLater) remembered = { at: observedAt, seqs: new Map() }
      if (remembered?.at === observedAt) remembered.seqs.set(digestOf(text), position)
    },
  }
}
