import { isJsonObject } from '../../model/is-json-object.js'
import type { JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import { type ApiStatus, readStatus } from './api-status.js'
import { parseJson } from './parse-json.js'
import { readObject, type Unreadable } from './read-object.js'

/** What a line of a watch says. */
export type WatchLine =
  | { readonly type: 'object'; readonly event: ObjectEvent['type']; readonly object: KubernetesObject }
  | { readonly type: 'bookmark'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  /** The server ends the watch. */
  | { readonly type: 'error'; readonly status: ApiStatus }
  /** An event of something that is not what was asked for: it is passed over. */
  | (Unreadable & { readonly event?: ObjectEvent['type'] })
  /** No event at all: an event was lost, and the watch cannot be trusted. */
  | { readonly type: 'garbled'; readonly cause: string }

/** Reads a line of a watch of a kind. Never throws. */
export function readWatchLine(bytes: Uint8Array, kind: ObjectKind): WatchLine {
  const parsed = parseJson(bytes)
  if ('cause' in parsed) return { type: 'garbled', cause: parsed.cause }
  const { value } = parsed
  if (!isJsonObject(value) || typeof value['type'] !== 'string') return { type: 'garbled', cause: 'no watch event' }
  const { type, object } = value
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const read = readObject(object, kind)
      return { ...read, event: type }
    }
    case 'BOOKMARK':
      return readBookmark(isJsonObject(object) && isJsonObject(object['metadata']) ? object['metadata'] : {})
    case 'ERROR':
      return { type: 'error', status: readStatus(object) }
    default:
      return { type: 'unreadable', message: `no event has the type ${JSON.stringify(type.slice(0, 40))}` }
  }
}

function readBookmark({ resourceVersion, annotations }: JsonObject): WatchLine {
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    return { type: 'unreadable', message: 'a bookmark without a resourceVersion' }
  const initialEventsEnd = isJsonObject(annotations) && annotations['k8s.io/initial-events-end'] === 'true'
  return { type: 'bookmark', resourceVersion, initialEventsEnd }
}
