import Database from 'better-sqlite3'

/** Keeps every writer of a log waiting, as a disk that takes its time does, until what it gives is called. Readers go on. */
export function holdWriteLock(file: string): () => void {
  const other = new Database(file)
  other.exec('BEGIN IMMEDIATE')
  return () => {
    other.exec('ROLLBACK')
    other.close()
  }
}
