import type Database from 'better-sqlite3'

/** How many records there are of each type and kind, so that nobody has to count a million. */
export interface Counts {
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
