import { createHash } from 'node:crypto'
import { bounded } from './checked-values.js'
import type { LogTables } from './log-tables.js'
import { TYPE_CODES } from './schema.js'

/** The notices of a log, by their time and text. */
export interface LoggedNotices {
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
