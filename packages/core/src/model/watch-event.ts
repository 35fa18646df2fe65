import { isJsonObject } from './json-value.js'
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
  /** The author by an API audit log: whom managedFields name as the manager counts before it, the requester is always its own. Not kept. */
  readonly audited?: Author
}

/** A requester as an export and the log hold it; undefined where the value is none. Members in one order, so that equal ones are equal text. */
export function requesterFrom(value: unknown): Requester | undefined {
  if (!isJsonObject(value)) return undefined
  const { user, groups, userAgent, sourceIPs, impersonatedBy } = value
  if (typeof user !== 'string') return undefined
  const texts = (list: unknown): readonly string[] =>
    Array.isArray(list) ? list.filter((text) => typeof text === 'string') : []
  return {
    user,
    ...(texts(groups).length > 0 && { groups: texts(groups) }),
    ...(typeof userAgent === 'string' && { userAgent }),
    ...(texts(sourceIPs).length > 0 && { sourceIPs: texts(sourceIPs) }),
    ...(typeof impersonatedBy === 'string' && { impersonatedBy }),
  }
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
  /** Who sent the request; only an API audit log says so. */
  readonly requester?: Requester
}

/** What an API audit log says of the sender of a request. */
export interface Requester {
  /** The user that the request was made as. */
  readonly user: string
  readonly groups?: readonly string[]
  readonly userAgent?: string
  /** The address of the client, and of the proxies on the way; none is verified but the last. */
  readonly sourceIPs?: readonly string[]
  /** The user who impersonated `user`. */
  readonly impersonatedBy?: string
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
