import type { BookmarkRecord, ObjectRecord } from './record.js'
import type { WatchEvent } from './watch-event.js'

/** The event that a record was made from. */
export function watchEventOf(record: ObjectRecord | BookmarkRecord): WatchEvent {
  const { observedAt, estimated } = record
  const marks = estimated === true ? { estimated } : {}
  if (record.type === 'bookmark') {
    const { kind, resourceVersion, initialEventsEnd } = record
    return { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd, observedAt, ...marks }
  }
  const { event, object, author } = record
  return { type: event, object, observedAt, ...marks, ...(author && { author }) }
}
