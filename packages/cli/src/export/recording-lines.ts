import { escapeControls, seq } from '@pointsman/core'
import type {
  Author,
  BookmarkRecord,
  ChangeLogReader,
  KubernetesObject,
  ObjectKind,
  ObjectRecord,
  Redactor,
  Seq,
} from '@pointsman/core'
import { authorItem } from '../history/record-item.js'
import { formatTime } from '../output/json.js'

export interface RecordingQuestion {
  readonly reader: ChangeLogReader
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Absent: names and addresses as they are. */
  readonly redactor?: Redactor | undefined
}

export interface RecordingLine {
  /** One watch event as JSON, without the line feed. */
  readonly text: string
  /** Whether it stands for an object that was there before the first record. */
  readonly isFloor: boolean
}

/**
 * The watch events of a span as `pointsman import` reads them. Objects that were there before it come first, as ADDED at
 * the time of the record before, and each kind that had been received whole gets its bookmark: what is exported can be
 * understood by itself.
 */
export function* recordingLines(question: RecordingQuestion): Generator<RecordingLine> {
  const { reader, fromSeq, toSeq, redactor } = question
  if (fromSeq > 1)
    for (const event of floorEvents(reader, fromSeq)) yield { text: lineOf(event, redactor), isFloor: true }
  for (const record of reader.records({ fromSeq, toSeq, types: ['object', 'bookmark'] })) {
    if (record.type === 'object') yield { text: lineOf(eventOf(record), redactor), isFloor: false }
    if (record.type === 'bookmark') yield { text: lineOf(bookmarkOf(record, redactor), redactor), isFloor: false }
  }
}

interface RecordedEvent {
  readonly observedAt: number
  readonly type: string
  readonly object: KubernetesObject | object
  readonly author?: Author
  readonly estimated?: true
}

function eventOf({ observedAt, event, object, author, estimated }: ObjectRecord): RecordedEvent {
  return { observedAt, type: event, object, ...(author && { author }), ...(estimated && { estimated }) }
}

function bookmarkOf(record: BookmarkRecord, redactor?: Redactor): RecordedEvent {
  const { observedAt, kind, initialEventsEnd, estimated } = record
  const resourceVersion = redactor?.resourceVersion(record.resourceVersion) ?? record.resourceVersion
  const annotations = initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
  const object = { kind, metadata: { resourceVersion, ...annotations } }
  return { observedAt, type: 'BOOKMARK', object, ...(estimated && { estimated }) }
}

function* floorEvents(reader: ChangeLogReader, fromSeq: Seq): Generator<RecordedEvent> {
  const floor = seq(fromSeq - 1)
  const observedAt = reader.timeOf(floor) ?? reader.timeOf(fromSeq) ?? 0
  const { objects, received } = reader.objectsAt(floor)
  // Nodes first: whoever replays this has the node before its endpoints.
  const sorted = [...objects].sort((a, b) => rankOf(a) - rankOf(b) || (keyOf(a) < keyOf(b) ? -1 : 1))
  for (const object of sorted) yield { observedAt, type: 'ADDED', object }
  for (const kind of [...received].sort()) {
    const resourceVersion = newestVersion(objects.filter((object) => object.kind === kind))
    yield bookmarkOf({ type: 'bookmark', seq: floor, observedAt, kind, resourceVersion, initialEventsEnd: true })
  }
}

const RANKS: { readonly [kind in ObjectKind]: number } = { Node: 0, Service: 1, EndpointSlice: 2 }
const rankOf = ({ kind }: KubernetesObject): number => RANKS[kind]
const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`

function newestVersion(objects: readonly KubernetesObject[]): string {
  const versions = objects
    .map(({ metadata }) => metadata['resourceVersion'])
    .filter((version) => typeof version === 'string')
  return String(versions.reduce((newest, version) => Math.max(newest, Number(version) || 0), 0))
}

function lineOf(
  { observedAt, type, object, author, estimated }: RecordedEvent,
  redactor: Redactor | undefined,
): string {
  const isObject = 'metadata' in object && type !== 'BOOKMARK'
  const line = JSON.stringify({
    observedAt: formatTime(observedAt),
    type,
    object: isObject && redactor ? redactor.object(object) : object,
    ...(author && { author: authorItem(redactor ? redactor.author(author) : author) }),
    ...(estimated && { estimated }),
  })
  // A file may end up on a terminal too.
  return escapeControls(line)
}
