import { parentPort, workerData } from 'node:worker_threads'
import { assertNever } from '../../model/language.js'
import { openChangeLogWriter, type SqliteChangeLog } from './change-log.js'
import { type ThreadCall, type ThreadData, type ThreadReply, toFailure } from './threaded-writer.js'

/** The thread of `openThreadedChangeLogWriter`: opens the log, executes its calls, one after the other, and ends. */
function run(): void {
  const { file, options } = workerData as ThreadData
  const log = attempt(undefined, () => openChangeLogWriter(file, options))
  if (log === undefined) return
  say(log, { type: 'done', result: undefined })
  parentPort?.on('message', (call: ThreadCall) => {
    attempt(log, () => say(log, { type: 'done', result: answer(log, call) }))
    if (call.type === 'close') parentPort?.close()
  })
}

function answer(log: SqliteChangeLog, call: ThreadCall): Extract<ThreadReply, { type: 'done' }>['result'] {
  switch (call.type) {
    case 'append':
      return log.appendSync(call.entries)
    case 'prune':
      return log.prune(call.options)
    case 'close':
      log.close()
      return undefined
    default:
      return assertNever(call)
  }
}

function attempt<Result>(log: SqliteChangeLog | undefined, work: () => Result): Result | undefined {
  try {
    return work()
  } catch (error) {
    say(log, { type: 'failed', failure: toFailure(error) })
    return undefined
  }
}

type Said = { [Type in ThreadReply['type']]: Omit<Extract<ThreadReply, { type: Type }>, 'head' | 'lastObservedAt'> }

function say(log: SqliteChangeLog | undefined, reply: Said[keyof Said]): void {
  const complete = { ...reply, head: log?.head ?? 0, lastObservedAt: log?.lastObservedAt ?? 0 }
  parentPort?.postMessage(complete, [])
}

run()
