import type { JsonObject, KubernetesObject, ObjectKind, ObjectReference } from '../model/kubernetes-object.js'
import { configOfRecord, type ProxyConfig } from '../model/proxy-config.js'
import type {
  BookmarkRecord,
  LogEntry,
  LogRecord,
  NoticeRecord,
  ObjectRecord,
  Seq,
  SyncRecord,
} from '../model/record.js'

/** What became of an entry that was appended. */
export type AppendOutcome =
  | { readonly type: 'appended'; readonly seq: Seq }
  /** The same event (kind, uid, resourceVersion, type) is there already, at `seq`. */
  | { readonly type: 'duplicate'; readonly seq: Seq }
  /** Not appended, for a reason that belongs to the entry; the other entries of the batch are. */
  | {
      readonly type: 'refused'
      readonly code: 'RECORD_TOO_OLD' | 'OTHER_CLUSTER' | 'OTHER_NODE' | 'LOG_UNUSABLE'
      readonly message: string
    }

/** The writing side. One writer at a time. */
export interface ChangeLogWriter {
  /** The last record's position; 0 in an empty log. */
  readonly head: Seq
  /** When the last record was observed, in milliseconds since 1970 UTC; 0 in an empty log. */
  readonly lastObservedAt: number
  /** Resolves once `head` and `lastObservedAt` are those of the log; rejects while it cannot be opened. Absent: they are. */
  opened?(): Promise<void>
  /**
   * Appends entries in order, in one transaction, and answers an outcome for each. Durable when it resolves. Rejects with a
   * ChangeLogError when the log cannot be written: then nothing of the batch is in it.
   */
  append(entries: readonly LogEntry[]): Promise<readonly AppendOutcome[]>
}

export interface RecordFilter {
  /** Inclusive bounds. */
  readonly fromSeq?: Seq
  readonly toSeq?: Seq
  readonly types?: readonly LogRecord['type'][]
  readonly kinds?: readonly ObjectKind[]
  /** Objects of this namespace and name; an EndpointSlice also by the Service that it belongs, or belonged, to. */
  readonly object?: { readonly kind?: ObjectKind; readonly namespace: string; readonly name: string }
  /** Newest first. */
  readonly descending?: boolean
  /** At most so many records. */
  readonly limit?: number
}

/** An event without its object, or a notice. The resourceVersion is empty where the event had none. */
export type LogPosition =
  | Pick<ObjectRecord, 'type' | 'seq' | 'kind' | 'resourceVersion'>
  | Pick<BookmarkRecord, 'type' | 'seq' | 'kind' | 'resourceVersion'>
  | NoticeRecord

/** All objects at one point, as kept. */
export interface ObjectsAt {
  readonly seq: Seq
  readonly objects: readonly KubernetesObject[]
  /** Kinds whose list had been received whole by then. */
  readonly received: ReadonlySet<ObjectKind>
}

export interface LogInfo {
  readonly schemaVersion: number
  /** uid of the Service default/kubernetes: the same for one cluster's life. */
  readonly clusterId?: string
  readonly nodeName?: string
  readonly firstSeq: Seq
  readonly lastSeq: Seq
  readonly firstAt?: number
  readonly lastAt?: number
  readonly counts: { readonly [type in LogRecord['type']]: number }
  /** Object records by kind. */
  readonly kinds: { readonly [kind in ObjectKind]: number }
  readonly snapshots: number
  readonly bytes: number
  /** The applied seq of each backend, and when its last successful sync was recorded. */
  readonly applied: readonly { readonly backend: string; readonly seq: Seq; readonly at: number }[]
  readonly bootId?: string
  /** Whether records before firstSeq were pruned. */
  readonly pruned: boolean
}

/** The reading side: any number of readers, also while a writer appends. */
export interface ChangeLogReader {
  info(): LogInfo
  /** The last record at or before the time (milliseconds since 1970 UTC); 0 when there is none. */
  seqAt(time: number): Seq
  /** When a record was observed. */
  timeOf(seq: Seq): number | undefined
  /** Records in order of seq. Object records carry the object after the event. */
  records(filter?: RecordFilter): Iterable<LogRecord>
  /** What each event and notice says of how far the watches had come, newest first: no object is made, so that it costs little. */
  positions(): Iterable<LogPosition>
  objectsAt(seq: Seq): ObjectsAt
  /** The same, handed over one object at a time, so that a restart costs the memory of a few. */
  eachObjectAt(seq: Seq, visit: (object: KubernetesObject) => void): Omit<ObjectsAt, 'objects'>
  /**
   * The same in steps, so that a long reading can be interleaved with other work: the walk yields now and then, and returns as `eachObjectAt`. In
   * a log that is written meanwhile it wants one opened `asOfNow`.
   */
  objectsInSteps(
    seq: Seq,
    visit: (object: KubernetesObject) => void,
  ): Generator<undefined, Omit<ObjectsAt, 'objects'>, undefined>
  /** One object at a position; undefined: there is none. */
  objectAt(seq: Seq, object: Pick<ObjectReference, 'kind' | 'namespace' | 'name'>): KubernetesObject | undefined
  /** The last configuration at or before a position. */
  configAt(seq: Seq): JsonObject | undefined
  /** The last successful sync at or before a position. */
  appliedAt(seq: Seq): SyncRecord | undefined
  close(): void
}

/** The configuration that was in force at a position: of the last record of one until there, else of the first of the log. */
export function loggedConfigAt(log: Pick<ChangeLogReader, 'configAt' | 'records'>, at: Seq): ProxyConfig | undefined {
  const stored = log.configAt(at)
  if (stored !== undefined) return configOfRecord(stored)
  for (const record of log.records({ types: ['config'], limit: 1 }))
    if (record.type === 'config') return configOfRecord(record.config)
  return undefined
}

export type { LogEntry, LogRecord, NoticeRecord, ObjectRecord, SyncRecord }

/** What can go wrong with a change log as a whole, and what to do about it. `docs/change-log.md` lists the same codes. */
export const CHANGE_LOG_ERRORS = {
  LOG_NOT_FOUND: 'no such file: give the path of a change log, or create one with `pointsman import`',
  LOG_NOT_A_LOG: 'not a change log: give the path of one, or import the recording into a new log',
  LOG_TOO_NEW: 'the log was written by a newer version of Pointsman: use that version or a newer one',
  LOG_TOO_OLD: 'the log has an older format, which readers cannot migrate: append to it once with this version',
  LOG_DAMAGED: 'the log is damaged: move it away and start a new one, or restore it from a backup',
  LOG_FULL: 'the disk is full: free space, or lower the retention limits',
  LOG_READ_ONLY: 'the log is not writable: make the file and its directory writable, or use another file',
  LOG_LOCKED: 'another process is writing the log: stop it, or use another file',
  LOG_OTHER_NODE: 'the log belongs to another node: use another file',
  LOG_NOT_PRIVATE:
    'other users can modify the log that rules are programmed from: make it and its directory writable only by their owner, or use another file',
  LOG_PRUNED: 'retention has pruned that part of the log: use a later point in time',
  LOG_IO: 'the file cannot be accessed: check its permissions and the disk',
  LOG_THREAD_ENDED: 'the log-writer thread stopped: the next write restarts it',
} as const

export type ChangeLogErrorCode = keyof typeof CHANGE_LOG_ERRORS

/** The change log as a whole cannot be used. The message is one line: the file, what is wrong, what to do. */
export class ChangeLogError extends Error {
  override readonly name = 'ChangeLogError'
  readonly code: ChangeLogErrorCode
  readonly file: string
  readonly detail: string | undefined

  constructor(
    code: ChangeLogErrorCode,
    { file, detail }: { readonly file: string; readonly detail?: string },
    options?: ErrorOptions,
  ) {
    super(`${file}: ${CHANGE_LOG_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`, options)
    this.code = code
    this.file = file
    this.detail = detail
  }
}
