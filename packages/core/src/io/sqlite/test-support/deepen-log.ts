import Database from 'better-sqlite3'

/** Gives each whole version of a Service in a log a spec that nests so many levels, as versions without bounds could write it. */
export function deepenLog(file: string, levels: number): number {
  const nested = `${'{"a":'.repeat(levels)}{}${'}'.repeat(levels)}`
  const database = new Database(file)
  try {
    const changed = database
      .prepare(`UPDATE records SET patch = replace(patch, '"spec":{', ?) WHERE patch LIKE '%"spec":{%'`)
      .run(`"spec":{"x":${nested},`)
    return changed.changes
  } finally {
    database.close()
  }
}
