import type { LogEntry } from '../../model/record.js'
import type { AppendOutcome } from '../../ports/change-log.js'
import type { WriterOptions } from './change-log.js'
import { ChangeLogError, type ChangeLogErrorCode } from '../../ports/change-log-error.js'
import type { PruneOptions, PruneResult } from './prune.js'

/** What a thread that writes a log is started with. */
export interface ThreadData {
  readonly file: string
  readonly options: Omit<WriterOptions, 'onStep'>
}

/** What it is told, one after the other. */
export type ThreadCall =
  | { readonly type: 'append'; readonly entries: readonly LogEntry[] }
  | { readonly type: 'prune'; readonly options: PruneOptions }
  | { readonly type: 'close' }

/** What it says once it is open, and of each call in their order. */
export type ThreadReply = { readonly head: number; readonly lastObservedAt: number } & (
  | { readonly type: 'done'; readonly result: readonly AppendOutcome[] | PruneResult | undefined }
  | { readonly type: 'failed'; readonly failure: ThreadFailure }
)

/** Of an error, only the message comes through between threads: what callers match on is told beside it. */
export interface ThreadFailure {
  readonly error: unknown
  readonly log?: { readonly code: ChangeLogErrorCode; readonly file: string; readonly detail?: string }
}

export function toFailure(error: unknown): ThreadFailure {
  if (!(error instanceof ChangeLogError)) return { error }
  const { code, file, detail, cause } = error
  return { error: cause, log: { code, file, ...(detail === undefined ? {} : { detail }) } }
}

export function fromFailure({ error, log }: ThreadFailure): unknown {
  return log === undefined ? error : new ChangeLogError(log.code, log, { cause: error })
}
