import type Database from 'better-sqlite3'
import type { Author } from '../../model/watch-event.js'
import { bounded, checkText } from './checked-values.js'

/** Authors as the log holds them: each once, with a number; the time of a change stands in its record. */
export interface Authors {
  idOf(author: Author): number
  /** Undefined where the record names none. */
  authorOf(id: number | null, time: number | null): Author | undefined
  /** Forgets what a transaction that was rolled back had added. */
  reset(): void
}

type AuthorRow = readonly [manager: string, operation: string, subresource: string]

export function createAuthors(db: Database.Database): Authors {
  const find = db.prepare('SELECT id FROM authors WHERE manager = ? AND operation = ? AND subresource = ?').pluck()
  const byId = db
    .prepare(`SELECT ${['manager', 'operation', 'subresource'].map(bounded).join()} FROM authors WHERE id = ?`)
    .raw()
  const insert = db.prepare('INSERT INTO authors (manager, operation, subresource) VALUES (?, ?, ?)')
  const ids = new Map<string, number>()
  const authors = new Map<number, Author>()

  const load = (id: number): Author | undefined => {
    const row = byId.get(id) as AuthorRow | undefined
    if (row === undefined) return undefined
    for (const text of row) checkText(text, `author ${id}`, 'a name')
    const [manager, operation, subresource] = row
    const author = { manager, operation, ...(subresource === '' ? {} : { subresource }) }
    authors.set(id, author)
    return author
  }

  return {
    idOf({ manager, operation, subresource = '' }) {
      const key = `${manager}\n${operation}\n${subresource}`
      const known = ids.get(key)
      if (known !== undefined) return known
      const found = find.get(manager, operation, subresource) as number | undefined
      const id = found ?? Number(insert.run(manager, operation, subresource).lastInsertRowid)
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
