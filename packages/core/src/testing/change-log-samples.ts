import { keepObject } from '../model/keep-object.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { type LogEntry, type LogRecord, type ObjectRecord, seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import type { AppendOutcome, ChangeLogReader, ChangeLogWriter } from '../ports/change-log.js'

/** A change log under test: empty when it is opened. */
export interface ChangeLogUnderTest {
  readonly log: ChangeLogWriter & ChangeLogReader
  /** Closes the log and opens it again. */
  reopen(): ChangeLogUnderTest | Promise<ChangeLogUnderTest>
  /** Another reader of the same log. */
  reader(): ChangeLogReader
  /** Closes the log and removes what is left of it. */
  remove(): void | Promise<void>
}

export type OpenChangeLog = (options: {
  readonly snapshotEvery: number
}) => ChangeLogUnderTest | Promise<ChangeLogUnderTest>

/** What a part of the contract is given. */
export interface ContractTools {
  /** A new log, removed after the test. */
  readonly fresh: () => Promise<ChangeLogUnderTest>
  readonly open: OpenChangeLog
}

/** When the logs of the contract begin. */
export const START = Date.UTC(2026, 0, 1)

export const entries = (events: readonly WatchEvent[]): readonly LogEntry[] =>
  events.map((event) => ({ type: 'event', event }))

export const notice = (observedAt: number, message = 'the watch was lost'): LogEntry => ({
  type: 'notice',
  observedAt,
  code: 'WATCH_LOST',
  message,
  details: { kind: 'Service' },
})

export const sync = (observedAt: number, { from, to }: { readonly from: number; readonly to: number }) => ({
  type: 'sync' as const,
  observedAt,
  backend: 'mock',
  fromSeq: seq(from),
  toSeq: seq(to),
  full: true,
  changed: 1,
  durationMs: 3,
})

export function unversioned(object: KubernetesObject): KubernetesObject {
  const { resourceVersion: _resourceVersion, uid: _uid, ...metadata } = object.metadata
  return { ...object, metadata }
}

export const positions = (outcomes: readonly AppendOutcome[]): string[] =>
  outcomes.map((outcome) => `${outcome.type} ${outcome.type === 'refused' ? outcome.code : outcome.seq}`)

export function describeRecord(record: LogRecord): string {
  if (record.type === 'object') return `${record.seq} ${record.event} ${record.kind} ${record.namespace}/${record.name}`
  return `${record.seq} ${record.type}${record.type === 'bookmark' ? ` ${record.kind}` : ''}`
}

/** The uids that live at each position. */
export const uidsAt = (log: ChangeLogReader): unknown[][] =>
  [...log.records()].map(({ seq: position }) => log.objectsAt(position).objects.map(({ metadata }) => metadata['uid']))

/** Written apart from every log, on purpose. */
export function fold(records: readonly LogRecord[]): KubernetesObject[] {
  const objects = new Map<string, ObjectRecord>()
  for (const record of records) {
    if (record.type !== 'object') continue
    const key = `${record.kind} ${record.namespace}/${record.name}`
    if (record.event !== 'DELETED') objects.set(key, record)
    else if (objects.get(key)?.uid === record.uid) objects.delete(key)
  }
  return [...objects.values()].map(({ object }) => object)
}

export const receivedBy = (records: readonly LogRecord[]): Set<ObjectKind> =>
  new Set(records.flatMap((record) => (record.type === 'bookmark' && record.initialEventsEnd ? [record.kind] : [])))

export const sorted = (objects: readonly KubernetesObject[]): string[] =>
  objects.map((object) => JSON.stringify(object)).sort()

export function* batches(events: readonly WatchEvent[], sizes: readonly number[]): Generator<readonly WatchEvent[]> {
  let start = 0
  for (let index = 0; start < events.length; index++) {
    const size = sizes[index] ?? events.length
    yield events.slice(start, start + size)
    start += size
  }
}

/** Objects with fields missing or of wrong types, each after the last event; those that name nothing are left out. */
export function damaged(objects: readonly KubernetesObject[], after: number): WatchEvent[] {
  return objects
    .filter((object) => keepObject(object) !== undefined)
    .map((object, index) => ({ type: index % 3 === 2 ? 'DELETED' : 'MODIFIED', object, observedAt: after + index }))
}

export function keptText(event: WatchEvent): string {
  if (event.type === 'BOOKMARK') return `${event.observedAt} BOOKMARK ${event.kind} ${event.resourceVersion}`
  return `${event.observedAt} ${event.type} ${JSON.stringify(keepObject(event.object))}`
}

export function recordText(record: LogRecord): string {
  if (record.type === 'bookmark') return `${record.observedAt} BOOKMARK ${record.kind} ${record.resourceVersion}`
  return record.type === 'object'
    ? `${record.observedAt} ${record.event} ${JSON.stringify(record.object)}`
    : record.type
}

export function eventOf(record: LogRecord): WatchEvent {
  if (record.type === 'bookmark') {
    const { kind, resourceVersion, initialEventsEnd, observedAt } = record
    return { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd, observedAt }
  }
  if (record.type !== 'object') throw new Error(`no event was recorded as a ${record.type}`)
  const { event, object, observedAt, author } = record
  return { type: event, object, observedAt, ...(author === undefined ? {} : { author }) }
}
