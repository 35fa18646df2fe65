import type { AppendOutcome, ChangeLogWriter, Seq } from '@pointsman/core'
import { ChangeLogError, type ChangeLogErrorCode, type ThreadedChangeLogWriter } from '@pointsman/core/io'

/** What an agent does with its log. */
export type AgentLogWriter = Pick<ThreadedChangeLogWriter, keyof ChangeLogWriter | 'prune' | 'close'>

export interface LateWriterOptions {
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
    async append(entries) {
      let log: AgentLogWriter
      try {
        log = await opened()
      } catch (error) {
        if (!(error instanceof ChangeLogError) || !FOR_GOOD.has(error.code)) throw error
        return entries.map((): AppendOutcome => ({ type: 'refused', code: 'LOG_UNUSABLE', message: error.message }))
      }
      return log.append(entries)
    },
    prune: async (options) => writer?.prune(options) ?? { removed: 0, bytes: 0 },
    close: async () => writer?.close(),
  }
}

const FOR_GOOD: ReadonlySet<ChangeLogErrorCode> = new Set<ChangeLogErrorCode>([
  'LOG_NOT_A_LOG',
  'LOG_TOO_NEW',
  'LOG_DAMAGED',
  'LOG_OTHER_NODE',
])
