import { isJsonObject } from './json-value.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from './kubernetes-object.js'
import type { Brand } from './language.js'
import type { Author, ObjectEvent, WatchEvent } from './watch-event.js'

/** The position of a record in the change log, from 1 upwards; the only order there is. */
export type Seq = Brand<number, 'Seq'>
export const seq = (position: number): Seq => position as Seq
/** Before the first record. */
export const NO_SEQ = seq(0)

interface RecordBase {
  readonly seq: Seq
  /** Milliseconds since 1970 UTC. Never less than in the record before. */
  readonly observedAt: number
}

/** A change of an object. */
export interface ObjectRecord extends RecordBase {
  readonly type: 'object'
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly kind: ObjectKind
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly estimated?: true
  /** Absent: unknown. The API never says who deleted an object. */
  readonly author?: Author
  /** The object as kept, after the event. */
  readonly object: KubernetesObject
}

export interface BookmarkRecord extends RecordBase {
  readonly type: 'bookmark'
  readonly kind: ObjectKind
  readonly resourceVersion: string
  readonly initialEventsEnd: boolean
  readonly estimated?: true
}

/** One run of a backend. */
export interface SyncRecord extends RecordBase {
  readonly type: 'sync'
  readonly backend: string
  /** The first and the last watch-event record whose effect this run carried. */
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Whether everything was rendered, or only what had changed. */
  readonly full: boolean
  /** Service ports handed to the backend; all of them in a full run. */
  readonly changed: number
  readonly durationMs: number
  /** What was written; absent when the run failed. */
  readonly rules?: number
  readonly bytes?: number
  readonly digest?: string
  /** Changes whenever the kernel's rules do: a restart that finds it again need not read them. Absent: not known. */
  readonly mark?: string
  /** Service ports that kept the rules that they had, because theirs were refused; absent: none. Notices name them. */
  readonly refused?: number
  readonly error?: { readonly code: string; readonly message: string }
}

/** The effective configuration, each time that it changes. */
export interface ConfigRecord extends RecordBase {
  readonly type: 'config'
  readonly config: JsonObject
}

/** Something that a reader of the log has to know: a relist, a lost watch, a line that could not be imported, a gap. */
export interface NoticeRecord extends RecordBase {
  readonly type: 'notice'
  readonly code: string
  readonly message: string
  readonly details?: { readonly [key: string]: Json | undefined }
}

export type LogRecord = ObjectRecord | BookmarkRecord | SyncRecord | ConfigRecord | NoticeRecord

type WithoutSeq<Record> = Record extends RecordBase ? Omit<Record, 'seq'> : never

/** What is handed to the log. `seq` is given only for what was numbered while the log could not be written. */
export type LogEntry = (
  | { readonly type: 'event'; readonly event: WatchEvent }
  | WithoutSeq<SyncRecord>
  | WithoutSeq<ConfigRecord>
  | WithoutSeq<NoticeRecord>
) & { readonly seq?: Seq }

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

/**
 * Who made an object what it is: the managedFields entry that is new or changed against the previous version (both as
 * `keepObject` gives them); undefined where there is none. The newest time wins. At the same time, an entry that is new or
 * whose time moved wins over one that has only other fields: an edit takes fields from their former owner. Then the last.
 * Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export function authorOf(previous: Managed | undefined, current: Managed): Author | undefined {
  const before = entriesOf(previous)
  let best: Candidate | undefined
  for (const entry of entriesOf(current)) {
    const candidate = candidateOf(entry, before)
    if (candidate !== undefined && (best === undefined || !isBehind(candidate, best))) best = candidate
  }
  return best?.author
}

/** The author of an event: as its source says, else by the managedFields of both versions; a watch does not say who deleted an object. */
export function authorOfEvent(
  { type, author, audited }: Pick<ObjectEvent, 'type' | 'author' | 'audited'>,
  { previous, current }: { readonly previous: Managed | undefined; readonly current: Managed },
): Author | undefined {
  if (author !== undefined) return author
  const derived = type === 'DELETED' ? undefined : authorOf(previous, current)
  if (audited?.requester === undefined) return derived ?? audited
  return { ...(derived ?? audited), requester: audited.requester }
}

/** A kept object, or as much of one as says who manages it. */
interface Managed {
  readonly metadata: JsonObject
}

interface Candidate {
  readonly author: Author
  /** New, or at another time than before; else only its fields differ. */
  readonly moved: boolean
}

function candidateOf(entry: JsonObject, before: readonly JsonObject[]): Candidate | undefined {
  const manager = entry['manager']
  if (typeof manager !== 'string') return undefined
  const former = before.find((other) => isSameManager(entry, other))
  const moved = former === undefined || former['time'] !== entry['time']
  if (!moved && former['fieldsDigest'] === entry['fieldsDigest']) return undefined
  const { operation, subresource, time } = entry
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN
  const author = {
    manager,
    operation: typeof operation === 'string' ? operation : '',
    ...(Number.isNaN(at) ? {} : { time: at }),
    ...(typeof subresource === 'string' && subresource !== '' ? { subresource } : {}),
  }
  return { author, moved }
}

const isSameManager = (one: JsonObject, other: JsonObject): boolean =>
  one['manager'] === other['manager'] &&
  one['operation'] === other['operation'] &&
  one['subresource'] === other['subresource']

function isBehind(candidate: Candidate, best: Candidate): boolean {
  const time = candidate.author.time ?? -Infinity
  const bestTime = best.author.time ?? -Infinity
  return time === bestTime ? best.moved && !candidate.moved : time < bestTime
}

function entriesOf(object: Managed | undefined): readonly JsonObject[] {
  const entries = object?.metadata['managedFields']
  return Array.isArray(entries) ? entries.filter(isJsonObject) : []
}
