import { Worker } from 'node:worker_threads'
import { ChangeLogError } from './errors.js'
import { fromFailure, type ThreadCall, type ThreadData, type ThreadReply } from './thread-messages.js'

/** A thread that has a log open. */
export interface LogThread {
  /** Of the log when it was opened. */
  readonly head: number
  readonly lastObservedAt: number
  /** Answered in the order of the calls. Rejects with LOG_THREAD_ENDED where the thread ends before. */
  tell(call: ThreadCall): Promise<ThreadReply>
  readonly hasEnded: () => boolean
  readonly exited: Promise<void>
}

/** Resolves when the log is open; rejects with what opening it threw. The process does not stay for a thread that waits. */
export async function startLogThread(data: ThreadData, threadFile: URL): Promise<LogThread> {
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
