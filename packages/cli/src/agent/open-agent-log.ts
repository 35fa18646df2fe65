import type { AppendOutcome, ChangeLogWriter, Seq } from '@pointsman/core'
import {
  ChangeLogError,
  type ChangeLogErrorCode,
  openThreadedChangeLogWriter,
  type ThreadedChangeLogWriter,
} from '@pointsman/core/io'
import { mkdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EMPTY, exhaustMap, from, map, merge, type Observable, type SchedulerLike, timer } from 'rxjs'
import type { AgentStart } from './start-from-log.js'

interface AgentLogOptions {
  readonly log: string
  readonly nodeName: string
  readonly bootId?: string | undefined
}

/** Begins to open the log that an agent writes, in a thread of its own: the state can be read from it meanwhile. */
export function beginAgentLog({ log: file, nodeName, bootId }: AgentLogOptions): AgentLogOpening {
  const open = async (): Promise<AgentLogWriter> => {
    makeFolder(dirname(file))
    return openThreadedChangeLogWriter(file, {
      durability: 'normal',
      heldCharacters: HELD_CHARACTERS,
      node: nodeName,
      ...(bootId !== undefined && { bootId }),
    })
  }
  const opening = open()
  // The caller that waits gets the error.
  opening.catch(() => undefined)
  return { open, opening }
}

export interface AgentLogOpening {
  readonly open: () => Promise<AgentLogWriter>
  readonly opening: Promise<AgentLogWriter>
}

/**
 * The log that was begun to be opened. One that cannot be opened now, or takes too long, is written when it can be; one that
 * another process writes is an error, LOG_LOCKED: two agents on one node would undo each other's work.
 */
export async function agentLog(
  begun: AgentLogOpening,
  start: Pick<AgentStart, 'head' | 'lastObservedAt' | 'damage'>,
  onWarning: (message: string) => void,
): Promise<AgentLogWriter> {
  const { head, lastObservedAt, damage } = start
  const opening = damage === undefined ? begun : unusable(begun, damage)
  const writer = createLateWriter({ ...opening, head, lastObservedAt })
  try {
    const outcome = await Promise.race([writer.append([]), sleep(PATIENCE_MS, 'late' as const, { ref: false })])
    if (outcome === 'late') onWarning('opening the change log is slow; programming rules without it')
  } catch (error) {
    if (!(error instanceof ChangeLogError) || error.code === 'LOG_LOCKED') throw error
    onWarning(`the change log is not writable; programming rules without it: ${error.message}`)
  }
  return writer
}

/** The writer reads objects as it needs them: that the log is damaged is known from who read all of them. */
function unusable({ opening }: AgentLogOpening, damage: ChangeLogError): AgentLogOpening {
  opening.then(
    (writer) => writer.close(),
    () => undefined,
  )
  const open = (): Promise<AgentLogWriter> => Promise.reject(damage)
  return { open, opening: open() }
}

const PATIENCE_MS = 2000
/** The versions of some thousand objects: those that change often. */
const HELD_CHARACTERS = 2_000_000

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch {
    // Opening the log says what is wrong, in its own words.
  }
}

/** What an agent does with its log. */
export type AgentLogWriter = Pick<ThreadedChangeLogWriter, keyof ChangeLogWriter | 'prune' | 'close'>

interface LateWriterOptions {
  readonly open: () => Promise<AgentLogWriter>
  /** The first attempt, where it is under way already. */
  readonly opening?: Promise<AgentLogWriter>
  /** Where records are numbered from until the log can be opened. */
  readonly head: Seq
  readonly lastObservedAt: number
}

/**
 * A log that may not be there yet: an agent does not wait for its disk. Each append tries to open it; one whose log will never
 * be its to write, because it is another node's or no log, is refused.
 */
export function createLateWriter({ open, opening, head, lastObservedAt }: LateWriterOptions): AgentLogWriter {
  let writer: AgentLogWriter | undefined
  let attempt = opening
  const opened = async (): Promise<AgentLogWriter> => {
    try {
      return (writer ??= await (attempt ??= open()))
    } finally {
      attempt = undefined
    }
  }
  return {
    get head() {
      return writer?.head ?? head
    },
    get lastObservedAt() {
      return writer?.lastObservedAt ?? lastObservedAt
    },
    async opened() {
      try {
        await opened()
      } catch (error) {
        if (!isForGood(error)) throw error
      }
    },
    async append(entries) {
      let log: AgentLogWriter
      try {
        log = await opened()
      } catch (error) {
        if (!isForGood(error)) throw error
        return entries.map((): AppendOutcome => ({ type: 'refused', code: 'LOG_UNUSABLE', message: error.message }))
      }
      return log.append(entries)
    },
    prune: async (options) => writer?.prune(options) ?? { removed: 0, bytes: 0 },
    close: async () => writer?.close(),
  }
}

/** `append` refuses then. */
const isForGood = (error: unknown): error is ChangeLogError =>
  error instanceof ChangeLogError && FOR_GOOD.has(error.code)

const FOR_GOOD: ReadonlySet<ChangeLogErrorCode> = new Set<ChangeLogErrorCode>([
  'LOG_NOT_A_LOG',
  'LOG_TOO_NEW',
  'LOG_DAMAGED',
  'LOG_OTHER_NODE',
])

export interface RetentionOptions {
  /** Records older than this go; absent: none for their age. */
  readonly logMaxAgeMs?: number | undefined
  /** The oldest records go while the log is larger; absent: none for that. */
  readonly logMaxBytes?: number | undefined
}

/**
 * Removes what is too much of a log, now and then, and soon where it grows far beyond its size; emits how many records went. Fails as
 * the log does. `sizeOf`: its size on disk, in bytes.
 */
export function retention(
  writer: Pick<AgentLogWriter, 'prune'>,
  { logMaxAgeMs, logMaxBytes, sizeOf }: RetentionOptions & { readonly sizeOf: () => Promise<number> },
  scheduler: SchedulerLike,
): Observable<number> {
  let tooLarge = (logMaxBytes ?? Infinity) * GROWTH
  const prune = async (): Promise<number> => {
    const { removed, bytes } = await writer.prune({
      now: scheduler.now(),
      ...(logMaxAgeMs !== undefined && { maxAgeMs: logMaxAgeMs }),
      ...(logMaxBytes !== undefined && { maxBytes: logMaxBytes }),
    })
    // Where what is current alone takes more, pruning again helps no sooner than after as much growth again.
    tooLarge = Math.max(logMaxBytes ?? Infinity, bytes) * GROWTH
    return removed
  }
  const pruneLarge = async (): Promise<number> => ((await sizeOf()) > tooLarge ? prune() : 0)
  return merge(
    timer(FIRST_MS, INTERVAL_MS, scheduler).pipe(map(() => prune)),
    logMaxBytes === undefined ? EMPTY : timer(LOOK_MS, LOOK_MS, scheduler).pipe(map(() => pruneLarge)),
  ).pipe(exhaustMap((work) => from(work())))
}

/** Not while an agent starts. */
const FIRST_MS = 60_000
const INTERVAL_MS = 600_000
const LOOK_MS = 5000
const GROWTH = 1.25

/**
 * The same log, which refuses with LOG_FULL what comes when it is more than twice as large as it may be: retention has not helped, as where
 * a server lists without end.
 */
export function sizeLimited(
  log: ChangeLogWriter,
  {
    file,
    maxBytes,
    sizeOf,
  }: { readonly file: string; readonly maxBytes: number; readonly sizeOf: () => Promise<number> },
): ChangeLogWriter {
  return {
    get head() {
      return log.head
    },
    get lastObservedAt() {
      return log.lastObservedAt
    },
    opened: async () => log.opened?.(),
    async append(entries) {
      const bytes = await sizeOf()
      if (bytes <= 2 * maxBytes + WORKING_BYTES) return log.append(entries)
      const detail = `its size of ${bytes} bytes exceeds --log-max-size (${maxBytes}), and no more records can be pruned`
      throw new ChangeLogError('LOG_FULL', { file, detail })
    },
  }
}

/** What SQLite's write-ahead log takes beside the log itself. */
const WORKING_BYTES = 32 * 1024 * 1024

/** What a log takes on the disk, its write-ahead log included, in bytes; 0 where there is none. */
export async function logSizeOf(file: string): Promise<number> {
  const sizes = [file, `${file}-wal`].map(async (path) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
