import { Worker } from 'node:worker_threads'
import { seq, unwritableNotice, type LogEntry, type Seq } from '../../model/record.js'
import {
  ChangeLogError,
  type AppendOutcome,
  type ChangeLogErrorCode,
  type ChangeLogWriter,
} from '../../ports/change-log.js'
import type { WriterOptions } from './change-log.js'
import type { PruneOptions, PruneResult } from './prune.js'

/** A log that is written by a thread of its own: whatever its disk does, the thread of the caller goes on. */
export interface ThreadedChangeLogWriter extends ChangeLogWriter {
  prune(options: PruneOptions): Promise<PruneResult>
  /** After all that was asked for before. Afterwards nothing is taken any more. */
  close(): Promise<void>
}

export interface ThreadedWriterOptions extends Omit<WriterOptions, 'onStep'> {
  /** The compiled thread: for tests, which run sources. */
  readonly threadFile?: URL
}

/**
 * Opens a log for writing, as openChangeLogWriter does and with its errors. Calls are done in their order. When the thread
 * ends by itself, what it had not answered is rejected with LOG_THREAD_ENDED, and the next call begins another one. An entry
 * with a number that was durable by then, though unanswered, is not appended a second time.
 */
export async function openThreadedChangeLogWriter(
  file: string,
  { threadFile = new URL('./log-thread.js', import.meta.url), ...options }: ThreadedWriterOptions,
): Promise<ThreadedChangeLogWriter> {
  const first = await startLogThread({ file, options }, threadFile)
  // One promise for all who call meanwhile, so that they go on in the order of their calls.
  let thread: Promise<LogThread> = Promise.resolve(first)
  let isOver = first.hasEnded
  let closed = false
  let { head, lastObservedAt } = first
  let unanswered = { after: 0, upTo: 0 }

  const restarted = async (): Promise<LogThread> => {
    isOver = () => false
    try {
      const other = await startLogThread({ file, options }, threadFile)
      isOver = other.hasEnded
      unanswered = { after: unanswered.upTo === 0 ? head : unanswered.after, upTo: other.head }
      ;({ head, lastObservedAt } = other)
      return other
    } catch (error) {
      isOver = () => true
      throw error
    }
  }

  const ready = (): Promise<LogThread> => {
    if (closed) throw new ChangeLogError('LOG_THREAD_ENDED', { file, detail: 'the log was closed' })
    if (isOver()) thread = restarted()
    return thread
  }

  const answer = async (current: LogThread, call: ThreadCall): Promise<unknown> => {
    const reply = await current.tell(call)
    ;({ head, lastObservedAt } = reply)
    if (reply.type === 'failed') throw fromFailure(reply.failure)
    return reply.result
  }

  const appendTo = async (current: LogThread, entries: readonly LogEntry[]): Promise<unknown> => {
    try {
      return await answer(current, { type: 'append', entries })
    } catch (error) {
      if (!isUnsendable(error)) throw error
      return answer(current, { type: 'append', entries: entries.map(asSendable) })
    }
  }

  const isThere = ({ seq: position }: LogEntry): boolean =>
    position !== undefined && position > unanswered.after && position <= unanswered.upTo

  return {
    get head(): Seq {
      return seq(head)
    },
    get lastObservedAt() {
      return lastObservedAt
    },
    async append(entries) {
      const current = await ready()
      const missing = entries.filter((entry) => !isThere(entry))
      const outcomes = (await appendTo(current, missing)) as AppendOutcome[]
      return entries.flatMap((entry): AppendOutcome | [] =>
        isThere(entry) && entry.seq !== undefined ? { type: 'appended', seq: entry.seq } : (outcomes.shift() ?? []),
      )
    },
    async prune(pruning) {
      return (await answer(await ready(), { type: 'prune', options: pruning })) as PruneResult
    },
    async close() {
      if (closed) return
      const last = isOver() ? undefined : ready()
      closed = true
      const current = await last
      if (current === undefined) return
      await answer(current, { type: 'close' })
      await current.exited
    },
  }
}

/** What the structured clone says of a value that it has no form for, or that is too deep. */
const isUnsendable = (error: unknown): boolean =>
  error instanceof RangeError || (error instanceof DOMException && error.name === 'DataCloneError')

/** The entry, or a notice in the place of one that cannot be sent to the thread. */
function asSendable(entry: LogEntry): LogEntry {
  try {
    structuredClone(entry)
    return entry
  } catch (error) {
    return unwritableNotice(entry, String(error))
  }
}

/** A thread that has a log open. */
interface LogThread {
  /** Of the log when it was opened. */
  readonly head: number
  readonly lastObservedAt: number
  /** Answered in the order of the calls. Rejects with LOG_THREAD_ENDED where the thread ends before. */
  tell(call: ThreadCall): Promise<ThreadReply>
  readonly hasEnded: () => boolean
  readonly exited: Promise<void>
}

/** Resolves when the log is open; rejects with what opening it threw. The process does not stay for a thread that waits. */
async function startLogThread(data: ThreadData, threadFile: URL): Promise<LogThread> {
  const worker = new Worker(threadFile, { workerData: data, name: 'change log', execArgv: [], resourceLimits: LIMITS })
  const waiting: PromiseWithResolvers[] = []
  let ended = false
  let closing = false
  let cause: unknown

  const next = (): Promise<ThreadReply> =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject })
      worker.ref()
    })
  const endedError = (): ChangeLogError =>
    new ChangeLogError('LOG_THREAD_ENDED', { file: data.file, detail: detailOf(cause) }, { cause })

  worker.on('message', (reply: ThreadReply) => {
    waiting.shift()?.resolve(reply)
    if (waiting.length === 0 && !closing) worker.unref()
  })
  worker.on('error', (error) => {
    cause = error
  })
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', (status) => {
      ended = true
      cause ??= `exit status ${status}`
      for (const { reject } of waiting.splice(0)) reject(endedError())
      resolve()
    })
  })

  const opened = await next()
  if (opened.type === 'failed') throw fromFailure(opened.failure)
  return {
    head: opened.head,
    lastObservedAt: opened.lastObservedAt,
    async tell(call) {
      if (ended) throw endedError()
      // What cannot be sent throws before anybody waits for its answer.
      worker.postMessage(call, NOTHING_HANDED_OVER)
      closing = call.type === 'close'
      return next()
    },
    hasEnded: () => ended,
    exited,
  }
}

interface PromiseWithResolvers {
  readonly resolve: (reply: ThreadReply) => void
  readonly reject: (error: Error) => void
}

/** All is copied. */
const NOTHING_HANDED_OVER: readonly [] = []

/** Young objects die young: a small space for them is a small thread. Of old ones there may be as many as there are. */
const LIMITS = { maxYoungGenerationSizeMb: 4 } as const

const detailOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? 'unknown'

/** What a thread that writes a log is started with. */
export interface ThreadData {
  readonly file: string
  readonly options: Omit<WriterOptions, 'onStep'>
}

/** Its calls, in their order. */
export type ThreadCall =
  | { readonly type: 'append'; readonly entries: readonly LogEntry[] }
  | { readonly type: 'prune'; readonly options: PruneOptions }
  | { readonly type: 'close' }

/** What it says once it is open, and of each call in their order. */
export type ThreadReply = { readonly head: number; readonly lastObservedAt: number } & (
  | { readonly type: 'done'; readonly result: readonly AppendOutcome[] | PruneResult | undefined }
  | { readonly type: 'failed'; readonly failure: ThreadFailure }
)

/** Of an error, only the message comes through between threads: what callers match on is sent beside it. */
interface ThreadFailure {
  readonly error: unknown
  readonly log?: { readonly code: ChangeLogErrorCode; readonly file: string; readonly detail?: string }
}

export function toFailure(error: unknown): ThreadFailure {
  if (!(error instanceof ChangeLogError)) return { error }
  const { code, file, detail, cause } = error
  return { error: cause, log: { code, file, ...(detail === undefined ? {} : { detail }) } }
}

function fromFailure({ error, log }: ThreadFailure): unknown {
  return log === undefined ? error : new ChangeLogError(log.code, log, { cause: error })
}
