import { isJsonObject } from '../../model/json-value.js'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import {
  seq,
  type BookmarkRecord,
  type ConfigRecord,
  type NoticeRecord,
  type ObjectRecord,
  type Seq,
  type SyncRecord,
} from '../../model/record.js'
import type { Author } from '../../model/watch-event.js'
import {
  bounded,
  checkCount,
  checkEngineBody,
  checkKept,
  checkText,
  isCount,
  MAX_TIME,
  parseStoredObject,
  whole,
  type Place,
} from './checked-values.js'
import { Damage } from './errors.js'
import { managerKey, patchObject, storeObject } from './object-patch.js'
import { eventOfCode, FLAG_AUTHOR_TIME, FLAG_ESTIMATED, FLAG_FULL, kindOfCode, TYPE_CODES } from './schema.js'

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

/** The same, as they are read: what is too long for a value comes as another type, and `checkRow` refuses it. */
export const READ_COLUMNS = [
  'seq',
  ...['type', 'flags', 'observed_at', 'object_id'].map(whole),
  bounded('resource_version'),
  ...['author_id', 'author_time'].map(whole),
  bounded('patch'),
].join()

/** The row, where each of its columns holds what a writer stores there. */
export function checkRow(row: readonly unknown[]): RecordRow {
  const [seqNumber, type, flags, observedAt, objectId, version, authorId, authorTime, patch] = row
  const isRight =
    isCount(seqNumber) &&
    isCount(type, TYPE_CODES.NOTICE) &&
    isCount(flags) &&
    isCount(observedAt, MAX_TIME) &&
    (objectId === null ? type >= TYPE_CODES.SYNC : isCount(objectId) && type < TYPE_CODES.SYNC) &&
    type > 0 &&
    (version === null || typeof version === 'string' || isCount(version, MAX_VERSION)) &&
    (authorId === null || isCount(authorId)) &&
    (authorTime === null || (Number.isSafeInteger(authorTime) && Math.abs(authorTime as number) <= MAX_TIME)) &&
    (patch === null || typeof patch === 'string')
  if (!isRight) refuseRow(row)
  return row as unknown as RecordRow
}

/** `storeVersion` stores 15 digits as a number at most. */
const MAX_VERSION = 999_999_999_999_999

/** Says which column it is. */
function refuseRow([
  seqNumber,
  type,
  flags,
  observedAt,
  objectId,
  version,
  authorId,
  ,
  patch,
]: readonly unknown[]): never {
  const place: Place = `seq ${Number(seqNumber)}`
  checkCount(seqNumber, place, 'the position')
  checkCount(type, place, 'the type', TYPE_CODES.NOTICE)
  checkCount(flags, place, 'flags')
  checkCount(observedAt, place, 'the time', MAX_TIME)
  if (objectId !== null) checkCount(objectId, place, 'the object')
  if (typeof version === 'number') checkCount(version, place, 'the resourceVersion', MAX_VERSION)
  else if (version !== null) checkText(version, place, 'the resourceVersion')
  if (authorId !== null) checkCount(authorId, place, 'the author')
  if (patch !== null) checkText(patch, place, 'the patch')
  throw new Damage(place, 'the type does not fit the object, or the time of the author is out of range')
}

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
  const [seqNumber, , flags, , , resourceVersion, , , patch] = row
  const place: Place = `seq ${seqNumber}`
  const change = parseStoredObject(patch ?? '{}', place, 'the patch')
  const timed = (flags & FLAG_AUTHOR_TIME) !== 0 && author?.time !== undefined ? withAuthorTime(change, author) : change
  const version = resourceVersion === null ? '' : String(resourceVersion)
  return checkKept(patchObject(isFull(row) ? undefined : previous, timed, version), place)
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
export function engineRecord([seqNumber, type, , observedAt, , , , , body]: RecordRow):
  | SyncRecord
  | ConfigRecord
  | NoticeRecord {
  const place: Place = `seq ${seqNumber}`
  const parsed = checkEngineBody(parseStoredObject(body ?? '{}', place, 'the record'), type, place)
  const position: { readonly seq: Seq; readonly observedAt: number } = { seq: seq(seqNumber), observedAt }
  return { ...parsed, ...position }
}
