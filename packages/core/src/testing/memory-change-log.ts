import { isDeepStrictEqual } from 'node:util'
import { jsonContradicts } from '../model/json-value.js'
import { keepObject, withVersionOf } from '../model/keep-object.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { assertNever } from '../model/language.js'
import { serviceLabelOf } from '../model/names.js'
import {
  authorOfEvent,
  NO_SEQ,
  seq,
  unwritableNotice,
  type LogEntry,
  type LogRecord,
  type NoticeRecord,
  type ObjectRecord,
  type Seq,
} from '../model/record.js'
import type { BookmarkEvent, ObjectEvent } from '../model/watch-event.js'
import {
  ChangeLogError,
  type AppendOutcome,
  type ChangeLogErrorCode,
  type ChangeLogReader,
  type ChangeLogWriter,
  type LogInfo,
  type ObjectsAt,
  type RecordFilter,
} from '../ports/change-log.js'

/** A change log that lives as long as its process: for tests, and for those who keep none. Nothing is ever pruned. */
export interface MemoryChangeLog extends ChangeLogWriter, ChangeLogReader {
  appendSync(entries: readonly LogEntry[]): readonly AppendOutcome[]
  /** The next append rejects with this code, and nothing of its batch is in the log. */
  failNext(code: ChangeLogErrorCode): void
  /** Appends reject for as long as the predicate gives a code for their entries. Undefined ends it. */
  failWhile(fault: ((entries: readonly LogEntry[]) => ChangeLogErrorCode | undefined) | undefined): void
  /** Appends wait for this promise before they write. Undefined ends it. */
  delayUntil(ready: Promise<void> | undefined): void
}

export function createMemoryChangeLog(): MemoryChangeLog {
  const state: State = { log: [], lives: new Map(), known: new Map() }
  const { log } = state
  let nextFault: ChangeLogErrorCode | undefined
  let fault: ((entries: readonly LogEntry[]) => ChangeLogErrorCode | undefined) | undefined
  let delay: Promise<void> | undefined

  const appendSync = (entries: readonly LogEntry[]): readonly AppendOutcome[] => {
    const code = nextFault ?? fault?.(entries)
    nextFault = undefined
    if (code !== undefined) throw new ChangeLogError(code, { file: 'memory', detail: 'injected' })
    return entries.map((entry) => appendEntry(state, entry))
  }

  return {
    get head() {
      return headOf(log)
    },
    get lastObservedAt() {
      return log.at(-1)?.observedAt ?? 0
    },
    appendSync,
    async append(entries) {
      await delay
      return appendSync(entries)
    },
    failNext: (code) => void (nextFault = code),
    failWhile: (predicate) => void (fault = predicate),
    delayUntil: (ready) => void (delay = ready),
    info: () => infoOf(log),
    seqAt: (time) => log.findLast(({ observedAt }) => observedAt <= time)?.seq ?? NO_SEQ,
    timeOf: (position) => log.find((record) => record.seq === position)?.observedAt,
    *records(filter = {}) {
      const found = log.filter((record) => matches(log, record, filter))
      yield* (filter.descending === true ? found.reverse() : found).slice(0, filter.limit)
    },
    *positions() {
      for (const record of log.toReversed()) {
        const { type, seq: position } = record
        if (type === 'notice') yield record
        if (type !== 'object' && type !== 'bookmark') continue
        yield { type, seq: position, kind: record.kind, resourceVersion: record.resourceVersion }
      }
    },
    objectsAt: (position) => objectsAt(log, position),
    eachObjectAt(position, visit) {
      const { objects, ...at } = objectsAt(log, position)
      objects.forEach(visit)
      return at
    },
    *objectsInSteps(position, visit) {
      const { objects, ...at } = objectsAt(log, position)
      for (const object of objects) {
        visit(object)
        yield
      }
      return at
    },
    objectAt: (position, { kind, namespace, name }) =>
      objectsAt(log, position).objects.find(
        ({ kind: one, metadata }) => one === kind && metadata.name === name && (metadata.namespace ?? '') === namespace,
      ),
    configAt: (position) => {
      const last = log.findLast((record) => record.type === 'config' && record.seq <= position)
      return last?.type === 'config' ? last.config : undefined
    },
    appliedAt: (position) => {
      const last = log.findLast(
        (record) => record.type === 'sync' && record.error === undefined && record.seq <= position,
      )
      return last?.type === 'sync' ? last : undefined
    },
    close: () => undefined,
  }
}

interface State {
  readonly log: LogRecord[]
  /** The last record of each object that lives. */
  readonly lives: Map<string, ObjectRecord>
  /** What makes two records the same, with the last record that it is so of. */
  readonly known: Map<string, LogRecord>
}

const headOf = (log: readonly LogRecord[]): Seq => log.at(-1)?.seq ?? NO_SEQ

function appendEntry(state: State, entry: LogEntry): AppendOutcome {
  const { log, lives, known } = state
  const record = recordOf(state, entry, seq(Math.max(headOf(log) + 1, entry.seq ?? 0)))
  const identity = identityOf(record)
  const living = record.type === 'object' ? lives.get(keyOf(record)) : undefined
  if (isNews(entry) && living !== undefined && record.type === 'object' && isWhatLives(record, living))
    return { type: 'duplicate', seq: living.seq }
  const same = isNews(entry) ? undefined : known.get(identity)
  if (same !== undefined && isSame(same, record, known)) return { type: 'duplicate', seq: same.seq }
  const last = log.at(-1)?.observedAt ?? 0
  if (record.observedAt < last) {
    const message = `observed at ${new Date(record.observedAt).toISOString()}, but the last record of the log is of ${new Date(last).toISOString()}`
    return { type: 'refused', code: 'RECORD_TOO_OLD', message }
  }
  const cluster = lives.get('Service/default/kubernetes')?.uid ?? ''
  if (isClusterService(record) && cluster !== '' && cluster !== record.uid) {
    const message = `the log is of cluster ${cluster}, the event of cluster ${record.uid} (uid of Service default/kubernetes)`
    return { type: 'refused', code: 'OTHER_CLUSTER', message }
  }
  log.push(record)
  known.set(identity, record)
  if (record.type === 'object') {
    known.set(lifeOf(record), record)
    follow(lives, record)
  }
  return { type: 'appended', seq: record.seq }
}

/** A change that says nothing of an object but what is known of it. */
function isWhatLives({ event, object, uid, resourceVersion }: ObjectRecord, living: ObjectRecord): boolean {
  if (event !== 'MODIFIED' || living.uid !== uid) return false
  if (resourceVersion === '' || living.resourceVersion !== resourceVersion)
    return isDeepStrictEqual(object, living.object)
  return !jsonContradicts(living.object, object)
}

const isNews = (entry: LogEntry): boolean => entry.type === 'event' && entry.event.isNews === true

const lifeOf = (record: ObjectRecord): string => JSON.stringify(['life', keyOf(record), record.uid])

function identityOf(record: LogRecord): string {
  switch (record.type) {
    case 'object':
      return JSON.stringify([keyOf(record), record.uid, record.event, record.resourceVersion])
    case 'bookmark':
      return JSON.stringify([record.kind, record.initialEventsEnd, record.resourceVersion])
    case 'notice':
      return JSON.stringify([record.observedAt, record.code, record.message, record.details])
    case 'sync':
    case 'config':
      // No two of them are the same.
      return `${record.type} ${record.seq}`
    default:
      return assertNever(record)
  }
}

/** Without a resourceVersion, an event is the same when it changes nothing. */
function isSame(same: LogRecord, record: LogRecord, known: ReadonlyMap<string, LogRecord>): boolean {
  if (same.type !== 'object' || record.type !== 'object' || record.resourceVersion !== '') return true
  return known.get(lifeOf(same)) === same && JSON.stringify(same.object) === JSON.stringify(record.object)
}

function recordOf({ lives }: State, entry: LogEntry, position: Seq): LogRecord {
  if (entry.type !== 'event') return { ...entry, seq: position }
  if (entry.event.type === 'BOOKMARK') return bookmarkRecord(entry.event, position)
  return objectRecord(lives, entry.event, position)
}

const bookmarkRecord = ({ type: _type, isNews: _isNews, ...event }: BookmarkEvent, position: Seq): LogRecord => ({
  type: 'bookmark',
  seq: position,
  ...event,
})

function objectRecord(lives: State['lives'], event: ObjectEvent, position: Seq): ObjectRecord | NoticeRecord {
  const object = keepObject(event.isBare === true ? lastVersionOf(lives, event.object) : event.object)
  if (object === undefined)
    return { ...unwritableNotice({ type: 'event', event }, 'it carries no object that a log can keep'), seq: position }
  const { kind, metadata } = object
  const { name, namespace = '', uid, resourceVersion } = metadata
  const identity = { kind, namespace, name, uid: typeof uid === 'string' ? uid : '' }
  const previous = lives.get(keyOf(identity))
  const base = previous?.uid === identity.uid ? previous.object : undefined
  const author = authorOfEvent(event, { previous: base, current: object })
  return {
    type: 'object',
    seq: position,
    observedAt: event.observedAt,
    event: event.type,
    ...identity,
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
    ...(event.estimated === true ? { estimated: true } : {}),
    ...(author === undefined ? {} : { author }),
    object,
  }
}

/** A bare object with all that the log holds of it. */
function lastVersionOf(lives: State['lives'], bare: KubernetesObject): KubernetesObject {
  const { name, namespace = '', uid = '' } = bare.metadata
  const last = lives.get(keyOf({ kind: bare.kind, namespace, name }))
  return last === undefined || last.uid !== uid ? bare : withVersionOf(bare, last.object)
}

const keyOf = ({ kind, namespace, name }: Pick<ObjectRecord, 'kind' | 'namespace' | 'name'>): string =>
  `${kind}/${namespace}/${name}`

/** Keeps up who lives, in the order in which their lives began. */
function follow(lives: Map<string, ObjectRecord>, record: ObjectRecord): void {
  const key = keyOf(record)
  const before = lives.get(key)
  if (before?.uid !== record.uid) {
    // The deletion of an earlier object of this name, come late, is nothing to the one that lives.
    if (record.event === 'DELETED') return
    lives.delete(key)
  }
  if (record.event === 'DELETED') lives.delete(key)
  else lives.set(key, record)
}

const isClusterService = (record: LogRecord): record is ObjectRecord =>
  record.type === 'object' &&
  record.kind === 'Service' &&
  record.namespace === 'default' &&
  record.name === 'kubernetes' &&
  record.uid !== ''

function objectsAt(log: readonly LogRecord[], position: Seq): ObjectsAt {
  const records = log.filter((record) => record.seq <= position)
  const received = records.flatMap((record) =>
    record.type === 'bookmark' && record.initialEventsEnd ? [record.kind] : [],
  )
  const lives = new Map<string, ObjectRecord>()
  for (const record of records) if (record.type === 'object') follow(lives, record)
  const objects = [...lives.values()].map(({ object }) => object)
  return { seq: position < headOf(log) ? position : headOf(log), objects, received: new Set(received) }
}

function matches(log: readonly LogRecord[], record: LogRecord, filter: RecordFilter): boolean {
  const { fromSeq = NO_SEQ, toSeq, types, kinds, object } = filter
  if (record.seq < fromSeq || (toSeq !== undefined && record.seq > toSeq)) return false
  if (types !== undefined && !types.includes(record.type)) return false
  if (kinds !== undefined && !('kind' in record && kinds.includes(record.kind))) return false
  return object === undefined || (record.type === 'object' && isOf(log, record, object))
}

function isOf(log: readonly LogRecord[], record: ObjectRecord, object: NonNullable<RecordFilter['object']>): boolean {
  if (record.namespace !== object.namespace || (object.kind !== undefined && record.kind !== object.kind)) return false
  if (record.name === object.name) return true
  if (record.kind !== 'EndpointSlice') return false
  return log.some(
    (other) => other.type === 'object' && isSameLife(other, record) && serviceLabelOf(other.object) === object.name,
  )
}

const isSameLife = (one: ObjectRecord, other: ObjectRecord): boolean =>
  keyOf(one) === keyOf(other) && one.uid === other.uid

function infoOf(log: readonly LogRecord[]): LogInfo {
  const count = (type: LogRecord['type']): number => log.filter((record) => record.type === type).length
  const kindCount = (kind: ObjectKind): number =>
    log.filter((record) => record.type === 'object' && record.kind === kind).length
  const clusterId = log.findLast(isClusterService)?.uid
  const first = log[0]
  const last = log.at(-1)
  return {
    schemaVersion: 0,
    ...(clusterId === undefined ? {} : { clusterId }),
    firstSeq: first?.seq ?? NO_SEQ,
    lastSeq: last?.seq ?? NO_SEQ,
    ...(first === undefined ? {} : { firstAt: first.observedAt }),
    ...(last === undefined ? {} : { lastAt: last.observedAt }),
    counts: {
      object: count('object'),
      bookmark: count('bookmark'),
      sync: count('sync'),
      config: count('config'),
      notice: count('notice'),
    },
    kinds: {
      Service: kindCount('Service'),
      EndpointSlice: kindCount('EndpointSlice'),
      Node: kindCount('Node'),
      ServiceCIDR: kindCount('ServiceCIDR'),
    },
    snapshots: 0,
    bytes: 0,
    applied: lastSyncs(log),
    pruned: false,
  }
}

function lastSyncs(log: readonly LogRecord[]): LogInfo['applied'] {
  const syncs = log.flatMap((record) => (record.type === 'sync' && record.error === undefined ? [record] : []))
  const last = new Map(syncs.map((record) => [record.backend, record]))
  const backends = [...last.values()].sort((a, b) => (a.backend < b.backend ? -1 : 1))
  return backends.map(({ backend, toSeq, observedAt }) => ({ backend, seq: toSeq, at: observedAt }))
}
