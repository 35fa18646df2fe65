import { identityOf, identityOfObject, versionOf } from './order-audit.js'
import type { EventItem, MergedItem, RequestItem } from './recording-file.js'

/** A watch shows a change within so much of its request, in either direction: the clocks are two. */
const SEEN_MS = 1000

/**
 * Which event of a watch each request made: the one of the same version. Where the log does not hold it, the one of its object that was seen
 * at that time; of several, in order, where there are as many events as requests. With more or fewer, some request changed nothing or some change
 * was not logged, and none is named.
 */
export function matchWatch(items: readonly MergedItem[]): {
  readonly matched: ReadonlyMap<MergedItem, RequestItem>
  /** Requests that are an event of a watch in the same input. */
  readonly used: ReadonlySet<MergedItem>
} {
  const matched = new Map<MergedItem, RequestItem>()
  const used = new Set<MergedItem>()
  const seen = new Map<string, EventItem[]>()
  for (const item of items)
    if (item.type === 'event' && item.event.type !== 'BOOKMARK') {
      const { key } = identityOf(item)
      seen.set(key, [...(seen.get(key) ?? []), item])
    }
  if (seen.size === 0) return { matched, used }
  const open: OpenRequest[] = []
  for (const item of items) {
    if (item.type !== 'request') continue
    const { key, uid } = identityOf(item)
    const events = seen.get(key) ?? []
    const version = versionOf(item)
    const same =
      version === undefined
        ? undefined
        : events.find((event) => versionOf(event) === version && identityOf(event).uid === uid)
    if (same !== undefined) {
      used.add(item)
      // The first request that made a version; one after it with the same version changed nothing.
      if (!matched.has(same)) matched.set(same, item)
    } else if (version === undefined) open.push({ item, fitting: events.filter((event) => fits(event, item)) })
  }
  for (const group of groupsOf(open)) {
    const events = [...new Set(group.flatMap(({ fitting }) => fitting))].filter((event) => !matched.has(event))
    const pairs = group.map(({ item, fitting }, index) => ({
      item,
      event: fitting.find((event) => event === events[index]),
    }))
    if (events.length !== group.length) continue
    for (const { item, event } of pairs) {
      if (event === undefined) continue
      matched.set(event, item)
      used.add(item)
    }
  }
  return { matched, used }
}

interface OpenRequest {
  readonly item: RequestItem
  readonly fitting: readonly EventItem[]
}

/** Requests that one event may belong to are a group, in order. */
function groupsOf(open: readonly OpenRequest[]): readonly (readonly OpenRequest[])[] {
  const groups = new Map<string, OpenRequest[][]>()
  for (const request of open) {
    const { key } = identityOf(request.item)
    const ofKey = groups.get(key) ?? []
    groups.set(key, ofKey)
    const last = ofKey.at(-1)
    const isShared = last?.at(-1)?.fitting.some((event) => request.fitting.includes(event)) === true
    if (last !== undefined && isShared) last.push(request)
    else ofKey.push([request])
  }
  return [...groups.values()].flat()
}

function fits(item: EventItem, { request }: RequestItem): boolean {
  const { event } = item
  if (event.type === 'BOOKMARK') return false
  const { uid } = identityOfObject(event.object)
  if (request.uid !== undefined && uid !== '' && uid !== request.uid) return false
  const isGone = event.type === 'DELETED'
  const type = { create: 'ADDED', delete: 'DELETED', deletecollection: 'DELETED' }[request.verb] ?? 'MODIFIED'
  if (type !== event.type && !(isGone && request.verb !== 'create')) return false
  return event.observedAt >= request.receivedAt - SEEN_MS && event.observedAt <= request.completedAt + SEEN_MS
}
