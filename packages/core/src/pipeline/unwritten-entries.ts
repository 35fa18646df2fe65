import { isJsonObject } from '../model/is-json-object.js'
import type { LogEntry } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'

/**
 * Of the events of one object keeps the newest, of bookmarks the newest of a kind, of syncs the newest; everything else
 * stays. What a log needs to be right again once it can be written, in memory bounded by the objects there are.
 */
export function coalesceUnwritten<Item>(items: readonly Item[], entryOf: (item: Item) => LogEntry): Item[] {
  const newest = new Map<string, number>()
  items.forEach((item, i) => {
    const key = keyOf(entryOf(item))
    if (key !== undefined) newest.set(key, i)
  })
  return items.filter((item, i) => (newest.get(keyOf(entryOf(item)) ?? '') ?? i) === i)
}

function keyOf(entry: LogEntry): string | undefined {
  if (entry.type === 'sync') return `sync ${entry.backend}`
  if (entry.type !== 'event') return undefined
  if (entry.event.type === 'BOOKMARK') return `bookmark ${entry.event.kind} ${String(entry.event.initialEventsEnd)}`
  const { kind, metadata } = entry.event.object
  return `object ${kind} ${metadata.namespace ?? ''}/${metadata.name} ${typeof metadata['uid'] === 'string' ? metadata['uid'] : ''}`
}

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
  return `${event.type} ${String(kind)} ${names.join('/').slice(0, MOST_SHOWN)}`
}

const MOST_SHOWN = 300
