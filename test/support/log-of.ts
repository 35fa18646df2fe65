import { type LogEntry, type LogRecord, watchEventOf } from '@pointsman/core'
import { createMemoryChangeLog, type MemoryChangeLog } from '@pointsman/core/testing'

/** A log that holds these records: of objects and configurations alone. */
export function logOf(records: readonly LogRecord[]): MemoryChangeLog {
  const log = createMemoryChangeLog()
  log.appendSync(records.flatMap(entryOf))
  return log
}

function entryOf(record: LogRecord): readonly LogEntry[] {
  if (record.type === 'config') return [{ type: 'config', observedAt: record.observedAt, config: record.config }]
  return record.type === 'object' ? [{ type: 'event', event: watchEventOf(record) }] : []
}
