import { seq, type LogEntry, type Seq } from '../../model/record.js'
import {
  ChangeLogError,
  type AppendOutcome,
  type ChangeLogReader,
  type ChangeLogWriter,
} from '../../ports/change-log.js'
import { createAppender, type Appender } from './append-log.js'
import { createLogTables, type LogTables } from './log-tables.js'
import { openForReading, openForWriting, refuseOtherThanFile, type Durability } from './open-database.js'
import { lockForWriting } from './private-files.js'
import { pruneLog, type PruneOptions, type PruneResult } from './prune.js'
import { createLogReader, guard } from './read-log.js'

export interface WriterOptions {
  /** What an append that resolved survives; `docs/change-log.md` says when to choose which. */
  readonly durability: Durability
  /** Event records from one snapshot to the next. */
  readonly snapshotEvery?: number
  /**
   * Characters of the objects' present versions that are held in memory. Default: all of them, which are read at once; else what is needed is
   * read from the log as it is needed, and so is what is damaged.
   */
  readonly heldCharacters?: number
  /** The node that the log is for; a log of another node is refused with LOG_OTHER_NODE. */
  readonly node?: string
  /** Of the machine's present boot. When it differs from the log's, a notice BOOT is appended. */
  readonly bootId?: string
  /** Named steps of a write, for tests that end the process there. */
  readonly onStep?: (step: string) => void
}

/** A change log in a SQLite file, open for writing and reading. */
export interface SqliteChangeLog extends ChangeLogWriter, ChangeLogReader {
  /** `append`, at once: SQLite has no other way. Throws a ChangeLogError; then nothing of the batch is in the log. */
  appendSync(entries: readonly LogEntry[]): readonly AppendOutcome[]
  prune(options: PruneOptions): PruneResult
  /** Names the node that the log is for; throws LOG_OTHER_NODE where it has another. */
  setNode(name: string): void
}

export interface ReaderOptions {
  readonly mode: 'read'
  /**
   * All is read as it is now, until the log is closed. A writer that opens a log at rest waits for that: between two readings
   * it would keep the second one out.
   */
  readonly asOfNow?: boolean
}

/**
 * Opens a log for reading, also while a writer appends to it. Throws a ChangeLogError: LOG_NOT_FOUND, LOG_NOT_A_LOG,
 * LOG_TOO_NEW, LOG_TOO_OLD, LOG_DAMAGED, LOG_IO.
 */
export function openChangeLog(file: string, { asOfNow = false }: ReaderOptions = { mode: 'read' }): ChangeLogReader {
  const opened = openForReading(file)
  try {
    return guard(file, () => {
      const tables = createLogTables(opened.db, file)
      if (asOfNow) opened.db.exec('BEGIN')
      // SQLite begins with the first reading.
      if (asOfNow) tables.head()
      return { ...createLogReader(tables), close: () => opened.close() }
    })
  } catch (error) {
    opened.close()
    throw error
  }
}

/**
 * Opens a log for writing and makes it where there is none. Throws a ChangeLogError: LOG_LOCKED, LOG_OTHER_NODE,
 * LOG_READ_ONLY, LOG_FULL, LOG_NOT_A_LOG, LOG_TOO_NEW, LOG_DAMAGED, LOG_IO.
 */
export function openChangeLogWriter(file: string, options: WriterOptions): SqliteChangeLog {
  guard(file, () => refuseOtherThanFile(file))
  const lock = lockForWriting(file)
  try {
    const opened = openForWriting(file, options)
    try {
      return createWriter(
        guard(file, () => createLogTables(opened.db, file)),
        options,
        () => {
          opened.close()
          lock.release()
        },
      )
    } catch (error) {
      opened.close()
      throw error
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

function createWriter(
  tables: LogTables,
  { snapshotEvery = 50_000, heldCharacters = Infinity, node, bootId, onStep = () => undefined }: WriterOptions,
  close: () => void,
): SqliteChangeLog {
  const { db, file, meta } = tables
  const open = (): Appender =>
    guard(file, () => db.transaction(() => createAppender(tables, { snapshotEvery, heldCharacters, onStep }))())
  let appender: Appender | undefined = open()
  let head: number = appender.head
  let lastObservedAt = appender.lastObservedAt

  /** One transaction. Where it fails, what is in memory is read anew from the log before the next. */
  const write = <Result>(change: (appender: Appender) => Result): Result => {
    const current = (appender ??= open())
    try {
      const result = guard(file, () =>
        db
          .transaction(() => {
            onStep('begin')
            const changed = change(current)
            current.finish()
            onStep('commit')
            return changed
          })
          .immediate(),
      )
      head = current.head
      lastObservedAt = current.lastObservedAt
      onStep('committed')
      return result
    } catch (error) {
      appender = undefined
      tables.authors.reset()
      throw error
    }
  }

  const appendSync = (entries: readonly LogEntry[]): readonly AppendOutcome[] =>
    write((current) =>
      entries.map((entry, index) => {
        if (index > 0 && index === entries.length >> 1) onStep('append')
        return current.append(entry)
      }),
    )

  const setNode = (name: string): void => {
    const known = guard(file, () => meta.get('node_name'))
    if (known !== undefined && known !== name)
      throw new ChangeLogError('LOG_OTHER_NODE', { file, detail: `${known}, not ${name}` })
    if (known === undefined) write(() => meta.set('node_name', name))
  }

  if (node !== undefined) setNode(node)
  if (bootId !== undefined) noteBoot(bootId)

  function noteBoot(current: string): void {
    const known = guard(file, () => meta.get('boot_id'))
    if (known === current) return
    write((log) => {
      meta.set('boot_id', current)
      if (known === undefined) return
      const message = 'the machine rebooted since the last record: pod addresses may have been reassigned'
      log.append({
        type: 'notice',
        observedAt: log.lastObservedAt,
        code: 'BOOT',
        message,
        details: { before: known, now: current },
      })
    })
  }

  return {
    ...createLogReader(tables),
    get head(): Seq {
      return seq(head)
    },
    get lastObservedAt(): number {
      return lastObservedAt
    },
    appendSync,
    async append(entries) {
      return appendSync(entries)
    },
    setNode,
    prune: (options) => pruneLog(tables, options, { write, onStep }),
    close,
  }
}
