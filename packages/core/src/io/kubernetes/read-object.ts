import { isJsonObject } from '../../model/json-value.js'
import { bareObject, excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import { kindOf } from '../files/parse-watch-event.js'
import { parseJson, readStatus, type ApiStatus } from './answer.js'

type ObjectRead = { readonly type: 'object'; readonly object: KubernetesObject } | Unreadable

/** Not what was asked for, or not to be used. */
export interface Unreadable {
  readonly type: 'unreadable'
  /** What it is in place of an object of the kind. */
  readonly message: string
  /** The object's name and version and nothing else, where it says so much. */
  readonly bare?: KubernetesObject
}

/** Reads what the server says is an object of a kind, as much of it as is kept. Never throws. */
export function readObject(value: unknown, kind: ObjectKind): ObjectRead {
  if (!isJsonObject(value)) return unreadable(`not an object where a ${kind} should be`)
  if (kindOf(value) !== kind) return unreadable(`an object of another kind where a ${kind} should be: ${nameOf(value)}`)
  if (!isNamedObject(value)) return unreadable(`the ${kind} has no usable metadata: ${nameOf(value)}`)
  try {
    const object = keepObject(value)
    return object === undefined
      ? unusable(value, excessOfObject(value) ?? 'it cannot be read')
      : { type: 'object', object }
  } catch (error) {
    // The last line of defence: whatever an object is, it costs no more than itself.
    return unusable(value, `reading it failed: ${printable(String(error))}`)
  }
}

const unreadable = (message: string): Unreadable => ({ type: 'unreadable', message })

const unusable = (object: KubernetesObject, why: string): Unreadable => ({
  ...unreadable(`${nameIn(object)} is skipped, and its last usable version stays in effect: ${why}`),
  bare: bareObject(object),
})

/** The caller adds the kind. */
const nameIn = ({ metadata: { namespace, name } }: KubernetesObject): string =>
  printable(namespace == null ? name : `${namespace}/${name}`)

function nameOf(value: { readonly [key: string]: unknown }): string {
  const { apiVersion, kind, metadata } = value
  const { namespace, name } = isJsonObject(metadata) ? metadata : {}
  return printable(JSON.stringify({ apiVersion, kind, namespace, name }, textAlone))
}

/** Members that are no text may be of any size and depth. */
const textAlone = (key: string, value: Json | undefined): Json | undefined =>
  key === '' || typeof value !== 'object' || value === null ? value : Array.isArray(value) ? 'a list' : 'an object'

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
  if (!isJsonObject(value) || typeof value['type'] !== 'string') return { type: 'garbled', cause: 'not a watch event' }
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
      return { type: 'unreadable', message: `unknown event type ${JSON.stringify(type.slice(0, 40))}` }
  }
}

function readBookmark({ resourceVersion, annotations }: JsonObject): WatchLine {
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    return { type: 'unreadable', message: 'a bookmark without a resourceVersion' }
  const initialEventsEnd = isJsonObject(annotations) && annotations['k8s.io/initial-events-end'] === 'true'
  return { type: 'bookmark', resourceVersion, initialEventsEnd }
}
