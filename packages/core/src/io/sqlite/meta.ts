import type Database from 'better-sqlite3'

/** What the log knows of itself. */
export interface Meta {
  get(key: MetaKey): string | number | undefined
  set(key: MetaKey, value: string | number): void
  /** The position of the last successful sync of each backend. */
  applied(): readonly { readonly backend: string; readonly seq: number }[]
}

export type MetaKey =
  /** uid of the Service default/kubernetes. */
  | 'cluster_id'
  | 'node_name'
  | 'boot_id'
  /** Everything up to this position was pruned; a snapshot of this position holds what was there. */
  | 'floor'
  | `applied/${string}`

export function createMeta(db: Database.Database): Meta {
  const get = db.prepare('SELECT value FROM meta WHERE key = ?').pluck()
  const set = db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const applied = db
    .prepare("SELECT substr(key, 9), value FROM meta WHERE key >= 'applied/' AND key < 'applied0' ORDER BY key")
    .raw()
  return {
    get: (key) => get.get(key) as string | number | undefined,
    set: (key, value) => void set.run(key, typeof value === 'number' ? BigInt(value) : value),
    applied: () => (applied.all() as [string, number][]).map(([backend, seq]) => ({ backend, seq })),
  }
}

export const floorOf = (meta: Meta): number => Number(meta.get('floor') ?? 0)
