import { type LogEntry, type LogRecord, seq } from '../model/record.js'
import type { AppendOutcome, ChangeLogReader, ChangeLogWriter } from '../ports/change-log.js'

/** What is in the log is not what this run would have written there. */
export class ResumeError extends Error {
  readonly code = 'LOG_OF_ANOTHER_RUN'

  constructor(record: LogRecord, entry: LogEntry) {
    super(
      `record ${record.seq} (${describe(record)}) differs from what this run writes there (${describe(entry)}): use another file`,
    )
  }
}

/**
 * Lets a run that was killed be finished by running it again. A replay writes the same entries each time; those that the
 * log holds already are compared and passed over, the rest is appended.
 */
export function resumedWriter(log: ChangeLogWriter & Pick<ChangeLogReader, 'records'>): ChangeLogWriter {
  const held = log.records()[Symbol.iterator]()
  let next = held.next()
  /** A resumed run numbers from the start. */
  let head = next.done === true ? log.head : seq(next.value.seq - 1)

  return {
    get head() {
      return head
    },
    lastObservedAt: next.done === true ? log.lastObservedAt : 0,
    async append(entries) {
      const outcomes: AppendOutcome[] = []
      while (next.done !== true && outcomes.length < entries.length) {
        const entry = entries[outcomes.length]
        if (entry === undefined) break
        if (describe(next.value) !== describe(entry)) throw new ResumeError(next.value, entry)
        outcomes.push({ type: 'appended', seq: next.value.seq })
        next = held.next()
      }
      const rest = entries.slice(outcomes.length)
      if (rest.length > 0) for (const outcome of await log.append(rest)) outcomes.push(outcome)
      head = log.head
      return outcomes
    },
  }
}

/** What tells one entry from another of the same run. */
function describe(item: LogEntry | LogRecord): string {
  switch (item.type) {
    case 'event': {
      const { event } = item
      if (event.type === 'BOOKMARK') return `bookmark ${event.kind} ${event.resourceVersion} at ${event.observedAt}`
      const { kind, metadata } = event.object
      const version = typeof metadata['resourceVersion'] === 'string' ? metadata['resourceVersion'] : ''
      return `${event.type} ${kind} ${metadata.namespace ?? ''}/${metadata.name} ${version} at ${event.observedAt}`
    }
    case 'object':
      return `${item.event} ${item.kind} ${item.namespace}/${item.name} ${item.resourceVersion} at ${item.observedAt}`
    case 'bookmark':
      return `bookmark ${item.kind} ${item.resourceVersion} at ${item.observedAt}`
    case 'sync':
      return `sync ${item.fromSeq} to ${item.toSeq} ${item.digest ?? 'failed'} at ${item.observedAt}`
    case 'config':
      return `config ${JSON.stringify(item.config)}`
    case 'notice':
      return `notice ${item.code} at ${item.observedAt}`
  }
}
