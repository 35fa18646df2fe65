import type Database from 'better-sqlite3'
import { bounded, checkCount, checkText, whole } from './checked-values.js'

/** What the log knows of itself. */
export interface Meta {
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

export function createMeta(db: Database.Database): Meta {
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
