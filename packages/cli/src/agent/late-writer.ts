import type { AppendOutcome, ChangeLogWriter, Seq } from '@pointsman/core'
import { ChangeLogError, type ChangeLogErrorCode } from '@pointsman/core/io'

export interface ClosableWriter extends ChangeLogWriter {
  readonly close: () => Promise<void>
}

export interface LateWriterOptions {
  readonly open: () => Promise<ClosableWriter>
  /** Where records are numbered from until the log can be opened. */
  readonly head: Seq
  readonly lastObservedAt: number
}

/**
 * A log that may not be there yet: an agent does not wait for its disk. Each append tries to open it; one whose log will never
 * be its to write, because it is another node's or no log, is refused.
 */
export function createLateWriter({ open, head, lastObservedAt }: LateWriterOptions): ClosableWriter {
  let writer: ClosableWriter | undefined
  return {
    get head() {
      return writer?.head ?? head
    },
    get lastObservedAt() {
      return writer?.lastObservedAt ?? lastObservedAt
    },
    async append(entries) {
      try {
        writer ??= await open()
      } catch (error) {
        if (!(error instanceof ChangeLogError) || !FOR_GOOD.has(error.code)) throw error
        return entries.map((): AppendOutcome => ({ type: 'refused', code: 'LOG_UNUSABLE', message: error.message }))
      }
      return writer.append(entries)
    },
    close: async () => writer?.close(),
  }
}

const FOR_GOOD: ReadonlySet<ChangeLogErrorCode> = new Set<ChangeLogErrorCode>([
  'LOG_NOT_A_LOG',
  'LOG_TOO_NEW',
  'LOG_DAMAGED',
  'LOG_OTHER_NODE',
])
