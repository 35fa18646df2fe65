import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import {
  type BookmarkRecord,
  type ConfigRecord,
  type NoticeRecord,
  type ObjectRecord,
  type Seq,
  seq,
  type SyncRecord,
} from '../../model/record.js'
import type { Author } from '../../model/watch-event.js'
import { isJsonObject } from '../../model/is-json-object.js'
import { cutDeep } from '../../model/object-bounds.js'
import { managerKey, patchObject, storeObject } from './object-patch.js'
import { FLAG_AUTHOR_TIME, FLAG_ESTIMATED, FLAG_FULL, eventOfCode, kindOfCode, TYPE_CODES } from './schema.js'

/** A row of `records`, in the order of its columns. */
export type RecordRow = readonly [
  seq: number,
  type: number,
  flags: number,
  observedAt: number,
  objectId: number | null,
  resourceVersion: string | number | null,
  authorId: number | null,
  authorTime: number | null,
  patch: string | null,
]
export const RECORD_COLUMNS =
  'seq, type, flags, observed_at, object_id, resource_version, author_id, author_time, patch'

/** A row of `objects`, as it names an object. */
export type ObjectRow = readonly [kind: number, namespace: string, name: string, uid: string]

/** Digits are stored as a whole number, which takes half the place; anything else as text; none as null. */
export function storeVersion(resourceVersion: unknown): string | number | null {
  if (typeof resourceVersion !== 'string' || resourceVersion === '') return null
  return /^[1-9]\d{0,14}$/.test(resourceVersion) ? Number(resourceVersion) : resourceVersion
}

export interface ObjectChange {
  /** The patch against the object's previous version; undefined where there is none, or no patch can say it. */
  readonly change: JsonObject | undefined
  readonly object: KubernetesObject
  readonly author: Author | undefined
}

/** The flags and the patch of an object record. */
export function storeChange({ change, object, author }: ObjectChange): {
  readonly flags: number
  readonly patch: string
} {
  if (change === undefined) return { flags: FLAG_FULL, patch: JSON.stringify(storeObject(object)) }
  const shorter = author?.time === undefined ? undefined : withoutAuthorTime(change, author)
  if (shorter !== undefined) return { flags: FLAG_AUTHOR_TIME, patch: JSON.stringify(shorter) }
  return { flags: 0, patch: JSON.stringify(change) }
}

/** Whether a row holds the whole object, whatever came before. */
export const isFull = (row: RecordRow): boolean => (row[2] & FLAG_FULL) !== 0

/** The object after the event of a row; `previous` is what it was before. */
export function loadObject(
  row: RecordRow,
  previous: KubernetesObject | undefined,
  author: Author | undefined,
): KubernetesObject {
  const [, , flags, , , resourceVersion, , , patch] = row
  const change = cutDeep(JSON.parse(patch ?? '{}') as JsonObject)
  const whole = (flags & FLAG_AUTHOR_TIME) !== 0 && author?.time !== undefined ? withAuthorTime(change, author) : change
  return patchObject(isFull(row) ? undefined : previous, whole, resourceVersion === null ? '' : String(resourceVersion))
}

/**
 * Most changes move the time of their author's managedFields entry and nothing else of it, and the time is in a column.
 * Undefined where that is not all that the patch says of managedFields.
 */
function withoutAuthorTime(change: JsonObject, author: Author): JsonObject | undefined {
  const metadata = change['metadata']
  if (!isJsonObject(metadata)) return undefined
  const { managedFields, ...others } = metadata
  if (!isJsonObject(managedFields)) return undefined
  const entries = Object.entries(managedFields)
  const [key, entry] = entries[0] ?? []
  if (entries.length !== 1 || key !== keyOfAuthor(author) || !isJsonObject(entry)) return undefined
  if (Object.keys(entry).length !== 1 || entry['time'] !== timeText(author)) return undefined
  const { metadata: _metadata, ...rest } = change
  return Object.keys(others).length === 0 ? rest : { ...rest, metadata: others }
}

function withAuthorTime(change: JsonObject, author: Author): JsonObject {
  const metadata = isJsonObject(change['metadata']) ? change['metadata'] : {}
  return { ...change, metadata: { ...metadata, managedFields: { [keyOfAuthor(author)]: { time: timeText(author) } } } }
}

const keyOfAuthor = ({ manager, operation, subresource = '' }: Author): string =>
  managerKey(manager, operation, subresource)
/** As the API server writes it. */
const timeText = ({ time = 0 }: Author): string => new Date(time).toISOString().replace('.000Z', 'Z')

interface LoadedObject {
  readonly objectRow: ObjectRow
  readonly object: KubernetesObject
  readonly author: Author | undefined
}

export function objectRecord(
  [seqNumber, type, flags, observedAt, , version]: RecordRow,
  { objectRow, object, author }: LoadedObject,
): ObjectRecord {
  const [kind, namespace, name, uid] = objectRow
  return {
    type: 'object',
    seq: seq(seqNumber),
    observedAt,
    event: eventOfCode(type),
    kind: kindOfCode(kind),
    namespace,
    name,
    uid,
    resourceVersion: version === null ? '' : String(version),
    ...((flags & FLAG_ESTIMATED) === 0 ? {} : { estimated: true }),
    ...(author === undefined ? {} : { author }),
    object,
  }
}

export function bookmarkRecord(
  [seqNumber, type, flags, observedAt, , version]: RecordRow,
  [kind]: ObjectRow,
): BookmarkRecord {
  return {
    type: 'bookmark',
    seq: seq(seqNumber),
    observedAt,
    kind: kindOfCode(kind),
    resourceVersion: version === null ? '' : String(version),
    initialEventsEnd: type === TYPE_CODES.LIST_END,
    ...((flags & FLAG_ESTIMATED) === 0 ? {} : { estimated: true }),
  }
}

/** What is stored of a record of the engine's own: everything that no column has. */
export type EngineBody = Omit<SyncRecord | ConfigRecord | NoticeRecord, 'seq' | 'observedAt'>

/** A record of the engine's own, from the row that holds its body. */
export function engineRecord([seqNumber, , , observedAt, , , , , body]: RecordRow):
  | SyncRecord
  | ConfigRecord
  | NoticeRecord {
  const parsed = cutDeep(JSON.parse(body ?? '{}') as JsonObject) as unknown as SyncRecord | ConfigRecord | NoticeRecord
  const position: { readonly seq: Seq; readonly observedAt: number } = { seq: seq(seqNumber), observedAt }
  return { ...parsed, ...position }
}
