import type { Appender } from './append-log.js'
import { whole } from './checked-values.js'
import { floorOf, type LogTables } from './log-tables.js'

/** What retention keeps. */
export interface PruneOptions {
  /** Records older than this, in milliseconds before `now`, may go. */
  readonly maxAgeMs?: number
  /** The oldest records go while the log is larger. */
  readonly maxBytes?: number
  /** Milliseconds since 1970 UTC. */
  readonly now: number
}

export interface PruneResult {
  readonly removed: number
  /** The log's size afterwards. */
  readonly bytes: number
}

interface Writing {
  readonly write: <Result>(change: (appender: Appender) => Result) => Result
  readonly onStep: (step: string) => void
}

/** Rows removed in one transaction: the -wal stays small, and readers and the next append wait for milliseconds. */
const CHUNK = 10_000
/** A snapshot is written for retention's sake when the last is older than this part of the age that is kept. */
const SNAPSHOTS_PER_AGE = 4

/**
 * Removes records that are covered by a snapshot, oldest first. The snapshot that is the new floor stays, and so do the
 * last successful sync of each backend, the configuration in force, and the identity of the cluster. Where it is ended
 * half-way, the rest is removed by the next call.
 */
export function pruneLog(tables: LogTables, options: PruneOptions, writing: Writing): PruneResult {
  writing.write((appender) => snapshotForRetention(tables, options, appender))
  let removed = removeBelow(tables, floorOf(tables.meta), writing)
  for (const floor of floors(tables, options)) {
    writing.write(() => raiseFloor(tables, floor))
    writing.onStep('floor')
    removed += removeBelow(tables, floor, writing)
  }
  writing.write((appender) => {
    removeForgottenObjects(tables)
    // Records of large objects fill a log long before its next snapshot: the next call can prune up to this one.
    const { maxBytes } = options
    if (maxBytes !== undefined && sizeOf(tables) > maxBytes && appender.sinceSnapshot > 0) appender.snapshot()
  })
  tables.db.pragma('incremental_vacuum')
  tables.db.pragma('wal_checkpoint(TRUNCATE)')
  return { removed, bytes: sizeOf(tables) }
}

/** A quiet log would reach its next snapshot after years: there has to be one to prune up to. */
function snapshotForRetention({ db, meta }: LogTables, { maxAgeMs, now }: PruneOptions, appender: Appender): void {
  if (maxAgeMs === undefined || appender.sinceSnapshot === 0) return
  const last = db
    .prepare(`SELECT ${whole('max(observed_at)')} FROM snapshots`)
    .pluck()
    .get() as number | null
  const first = db
    .prepare(`SELECT ${whole('observed_at')} FROM records WHERE seq > ? ORDER BY seq LIMIT 1`)
    .pluck()
    .get(floorOf(meta)) as number
  if (now - Math.max(last ?? 0, first) > maxAgeMs / SNAPSHOTS_PER_AGE) appender.snapshot()
}

/** Snapshots to prune up to, one after the other, as far as is needed. */
function* floors(tables: LogTables, { maxAgeMs, maxBytes, now }: PruneOptions): Generator<number> {
  const snapshots = tables.db
    .prepare(`SELECT seq, ${whole('observed_at')} FROM snapshots WHERE seq > ? ORDER BY seq`)
    .raw()
  for (const [seq, observedAt] of snapshots.all(floorOf(tables.meta)) as [number, number][]) {
    const tooOld = maxAgeMs !== undefined && observedAt < now - maxAgeMs
    const tooLarge = maxBytes !== undefined && sizeOf(tables) > maxBytes
    if (!tooOld && !tooLarge) return
    yield seq
  }
}

function raiseFloor({ db, meta, snapshots }: LogTables, floor: number): void {
  const gone = db
    .prepare(
      `SELECT r.type, coalesce(o.kind, 0), count(*) FROM records r LEFT JOIN objects o ON o.id = r.object_id
       WHERE r.seq > ? AND r.seq <= ? GROUP BY 1, 2`,
    )
    .raw()
    .all(floorOf(meta), floor) as [type: number, kind: number, count: number][]
  const subtract = db.prepare('UPDATE counts SET count = count - ? WHERE type = ? AND kind = ?')
  for (const [type, kind, count] of gone) subtract.run(count, type, kind)
  meta.set('floor', floor)
  for (const seq of db.prepare('SELECT seq FROM snapshots WHERE seq < ?').pluck().all(floor) as number[])
    snapshots.remove(seq)
}

function removeBelow(tables: LogTables, floor: number, { write, onStep }: Writing): number {
  const kept = keptBelow(tables, floor)
  const remove = tables.db.prepare(
    `DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE seq <= ? AND seq NOT IN (${kept.join()}) ORDER BY seq LIMIT ${CHUNK})`,
  )
  let removed = 0
  for (;;) {
    const { changes } = write(() => {
      const result = remove.run(floor)
      onStep('prune')
      return result
    })
    removed += changes
    if (changes < CHUNK) return removed
  }
}

/** The last record stays as well where all the others go: it says how far the log had come. */
function keptBelow(tables: LogTables, floor: number): readonly number[] {
  const config = tables.db
    .prepare('SELECT max(seq) FROM records WHERE object_id IS NULL AND type = 7 AND seq <= ?')
    .pluck()
    .get(floor) as number | null
  return [...tables.meta.applied().map(({ seq }) => seq), ...(config === null ? [] : [config]), tables.head()]
}

/** Objects whose life is over and of which no record is left. */
function removeForgottenObjects({ db, meta }: LogTables): void {
  const forgotten = 'ended_seq <= ? AND NOT EXISTS (SELECT 1 FROM records WHERE object_id = objects.id)'
  db.prepare(`DELETE FROM slice_services WHERE object_id IN (SELECT id FROM objects WHERE ${forgotten})`).run(
    floorOf(meta),
  )
  db.prepare(`DELETE FROM objects WHERE ${forgotten}`).run(floorOf(meta))
}

const sizeOf = ({ db }: LogTables): number =>
  (Number(db.pragma('page_count', { simple: true })) - Number(db.pragma('freelist_count', { simple: true }))) *
  Number(db.pragma('page_size', { simple: true }))
