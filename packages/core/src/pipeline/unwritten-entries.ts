import type { LogEntry } from '../model/record.js'

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
