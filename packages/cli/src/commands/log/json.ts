import { assertNever, type Author, type LogRecord, type ObjectRecord, type SyncRecord } from '@pointsman/core'
import { formatTime } from '../../output/json.js'
import type { HistoryEntry } from './history.js'

/** An item of a RecordList as `docs/json.md` has it. */
export function recordItem(
  { record, changes, patch }: HistoryEntry,
  { withPatch }: { readonly withPatch: boolean },
): object {
  return {
    seq: record.seq,
    time: formatTime(record.observedAt),
    type: record.type,
    ...bodyOf(record),
    ...(changes === undefined ? {} : { changes }),
    ...(withPatch && patch !== undefined ? { patch } : {}),
  }
}

function bodyOf(record: LogRecord): object {
  switch (record.type) {
    case 'object':
      return objectBody(record)
    case 'bookmark': {
      const { kind, resourceVersion, initialEventsEnd, estimated } = record
      return { kind, resourceVersion, initialEventsEnd, ...(estimated && { estimated }) }
    }
    case 'sync':
      return syncBody(record)
    case 'config':
      return { config: record.config }
    case 'notice': {
      const { code, message, details } = record
      return { code, message, ...(details && { details }) }
    }
    default:
      return assertNever(record)
  }
}

function objectBody({ event, kind, namespace, name, uid, resourceVersion, estimated, author }: ObjectRecord): object {
  return {
    event,
    kind,
    ...(namespace === '' ? {} : { namespace }),
    name,
    ...(uid === '' ? {} : { uid }),
    ...(resourceVersion === '' ? {} : { resourceVersion }),
    ...(estimated && { estimated }),
    ...(author && { author: authorItem(author) }),
  }
}

function syncBody({ seq: _seq, observedAt: _observedAt, type: _type, ...body }: SyncRecord): object {
  return body
}

export const authorItem = ({ manager, operation, time, subresource }: Author): object => ({
  manager,
  operation,
  ...(time === undefined ? {} : { time: formatTime(time) }),
  ...(subresource === undefined ? {} : { subresource }),
})
