import { isJsonObject } from './json-value.js'
import type { LogEntry } from './record.js'
import type { WatchEvent } from './watch-event.js'

/**
 * Stands in the log for an entry that cannot be written, which would otherwise hold up all that come after it. Names the entry,
 * and repeats nothing of what is in it.
 */
export function unwritableNotice(entry: LogEntry, why: string): Extract<LogEntry, { type: 'notice' }> {
  const isEvent = entry.type === 'event'
  const what = isEvent ? describeEvent(entry.event) : `an entry of the type ${entry.type}`
  return {
    type: 'notice',
    ...(entry.seq !== undefined && { seq: entry.seq }),
    observedAt: isEvent ? entry.event.observedAt : entry.observedAt,
    code: 'ENTRY_UNWRITABLE',
    message: `${what} could not be written: ${why.slice(0, MOST_SHOWN)}`,
    details: { type: entry.type },
  }
}

function describeEvent(event: WatchEvent): string {
  if (event.type === 'BOOKMARK') return `the bookmark of ${event.kind}`
  const { kind, metadata } = event.object
  const { namespace = '', name } = isJsonObject(metadata) ? metadata : {}
  const names = [namespace, name].filter((each) => typeof each === 'string' && each !== '')
  const which = names.length === 0 ? 'without a name' : names.join('/').slice(0, MOST_SHOWN)
  return `${event.type} ${kind} ${which}`
}

const MOST_SHOWN = 300
