import type { KubernetesObject, ObjectKind } from './kubernetes-object.js'
import type { BookmarkRecord, ObjectRecord } from './record.js'

/** A change of one object, as a watch reports it. */
export interface ObjectEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** The object after the event; for DELETED its last version. */
  readonly object: KubernetesObject
  /** When the event was seen, in milliseconds since 1970 UTC. */
  readonly observedAt: number
  /** The recording carried no time: `observedAt` is the newest managedFields time. */
  readonly estimated?: true
  /** Not a repetition, though the log may hold the same version: the source has compared it with what is known. Not kept. */
  readonly isNews?: true
  /** A deletion whose `object` says which one it was and no more: the log adds the last version that it holds. Not kept. */
  readonly isBare?: true
  /** Who made the change, where the source says so itself; else the log derives it from managedFields. */
  readonly author?: Author
}

/** A server's word that a watch has come this far. */
export interface BookmarkEvent {
  readonly type: 'BOOKMARK'
  readonly kind: ObjectKind
  readonly resourceVersion: string
  /** The list is complete: every object of the kind has been sent (`k8s.io/initial-events-end`). */
  readonly initialEventsEnd: boolean
  readonly observedAt: number
  readonly estimated?: true
  /** As of an ObjectEvent. */
  readonly isNews?: true
}

export type WatchEvent = ObjectEvent | BookmarkEvent

/** The managedFields entry that is new or changed against the object's previous version. */
export interface Author {
  readonly manager: string
  /** `Update` or `Apply`. */
  readonly operation: string
  /** Milliseconds since 1970 UTC, in whole seconds: the API keeps no finer time. */
  readonly time?: number
  /** `status` where the change came through that subresource. */
  readonly subresource?: string
}

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
