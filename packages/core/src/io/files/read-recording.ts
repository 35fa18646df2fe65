import { assertNever } from '../../model/language.js'
import { isJsonObject } from '../../model/json-value.js'
import { compareResourceVersions } from '../../model/kubernetes-object.js'
import { parseRfc3339 } from '../../model/time-formats.js'
import { type ByteSource, FileError, openBytes } from './read-file.js'
import type { RecordingOptions } from './parse-watch-event.js'
import {
  type MergedItem,
  type PlacedEvent,
  readRecordingFile,
  type RecordingItem,
  timeOfItem,
} from './recording-file.js'
import { settleAudit } from './settle-audit.js'

export interface Recording {
  /** In the order in which things happened, about a thousand at a time. */
  readonly batches: AsyncIterable<readonly RecordingItem[]>
  /** Bytes on disk of all files; absent when one of them is a stream. */
  readonly totalBytes?: number
  readonly bytesRead: () => number
}

/**
 * Reads one recording out of several files, `-` for standard input, gzip or not. Files with times are merged by them,
 * streaming; files without (what kubectl prints) are read whole and ordered together by resourceVersion. FileError when a
 * file cannot be opened, or too much of it has no times; everything else is an item of the recording.
 */
export async function readRecording(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
  options: RecordingOptions = {},
): Promise<Recording> {
  const sources: ByteSource[] = []
  for (const path of paths) sources.push(await openBytes(path, stdin))
  const sizes = sources.flatMap(({ size }) => (size === undefined ? [] : [size]))
  return {
    batches: inParts(settleAudit(mergedItems(sources, options), options)),
    bytesRead: () => sources.reduce((sum, source) => sum + source.bytesRead(), 0),
    ...(sizes.length === sources.length && { totalBytes: sizes.reduce((sum, size) => sum + size, 0) }),
  }
}

async function* mergedItems(
  sources: readonly ByteSource[],
  options: RecordingOptions,
): AsyncGenerator<readonly MergedItem[]> {
  const timed: AsyncIterable<readonly MergedItem[]>[] = []
  const untimed: (readonly PlacedEvent[])[] = []
  const room = { values: MOST_UNTIMED_VALUES }
  for (const source of sources) {
    const file = await peek(readRecordingFile(source, options), room)
    const startAt = firstTime(file.head)
    if (startAt !== undefined) timed.push(settled(file.batches, startAt))
    else untimed.push(await collect(file, room))
  }
  yield* mergeByTime(untimed.length === 0 ? timed : [...timed, once(orderByResourceVersion(untimed))])
}

/**
 * Of files without times, and of what comes before the first time of a file with them, which all are in memory at once. A value takes up to
 * 64 bytes; two lists of a cluster at the limits of Kubernetes have as many.
 */
const MOST_UNTIMED_VALUES = 8_000_000
/** What an item takes beside the values of its object, in values. */
const VALUES_AN_ITEM = 8

/** Takes the room that a batch needs. FileError CANNOT_READ when there is no more. */
function takeRoom(batch: readonly PlacedEvent[], room: { values: number }): void {
  for (const placed of batch) {
    room.values -= VALUES_AN_ITEM
    if (placed.type === 'event' && placed.event.type !== 'BOOKMARK') room.values -= valuesOf(placed.event.object)
    if (room.values < 0)
      throw new FileError(
        'CANNOT_READ',
        placed.file,
        `more than ${MOST_UNTIMED_VALUES} values without times are too many at once: split the files by time, and import the parts one after another`,
      )
  }
}

/** Each list and object, and each value in them, however deep: the object is as its author made it. */
function valuesOf(value: unknown): number {
  let count = 0
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    count += 1
    // One by one: a list may be longer than a call can take arguments.
    if (typeof next === 'object' && next !== null) for (const inner of Object.values(next)) open.push(inner)
  }
  return count
}

/** When the file's first event was seen; undefined where it does not say so. */
function firstTime(head: readonly PlacedEvent[]): number | undefined {
  const first = head.find((placed) => placed.type === 'event' || ownTime(placed) !== undefined)
  return first && ownTime(first)
}

/** The time that a line itself gives. */
function ownTime(placed: PlacedEvent): number | undefined {
  if (placed.type === 'event') return placed.event.observedAt
  if (placed.type === 'request') return placed.request.completedAt
  return placed.type === 'passed-over' ? placed.observedAt : undefined
}

interface Peeked {
  /** Up to and with the first batch that holds an event, or a time. */
  readonly head: readonly PlacedEvent[]
  /** Everything, the head included. */
  readonly batches: AsyncIterable<readonly PlacedEvent[]>
}

async function peek(batches: AsyncGenerator<readonly PlacedEvent[]>, room: { values: number }): Promise<Peeked> {
  const head: PlacedEvent[] = []
  for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
    takeRoom(next.value, room)
    for (const event of next.value) head.push(event)
    if (next.value.some((placed) => placed.type === 'event' || ownTime(placed) !== undefined)) break
  }
  return { head, batches: chain(head, batches) }
}

async function* chain<Item>(
  head: readonly Item[],
  rest: AsyncGenerator<readonly Item[]>,
): AsyncGenerator<readonly Item[]> {
  try {
    yield head
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

async function* settled(
  batches: AsyncIterable<readonly PlacedEvent[]>,
  startAt: number,
): AsyncGenerator<readonly MergedItem[]> {
  const settle = timeSettler(startAt)
  for await (const batch of batches) yield batch.map(settle)
}

async function collect({ head, batches }: Peeked, room: { values: number }): Promise<readonly PlacedEvent[]> {
  const all: PlacedEvent[] = []
  for await (const batch of batches) {
    if (batch !== head) takeRoom(batch, room)
    for (const event of batch) all.push(event)
  }
  return all
}

/** A list as a stream of one batch. */
async function* once(items: readonly MergedItem[]): AsyncGenerator<readonly MergedItem[]> {
  yield await Promise.resolve(items)
}

const PART = 1000

/** A transaction is made of a part: large enough to be fast, small enough to be interrupted. */
async function* inParts(batches: AsyncIterable<readonly RecordingItem[]>): AsyncGenerator<readonly RecordingItem[]> {
  for await (const batch of batches) {
    for (let start = 0; start < batch.length; start += PART) yield batch.slice(start, start + PART)
  }
}

/**
 * Gives each event its time, in the order in which the events come. An event without `observedAt` gets the newest time of
 * its object's managedFields (else its creationTimestamp), marked as estimated, and never one before the event before it.
 * `startAt` is the time of what comes before the first time.
 */
function timeSettler(startAt = 0): (event: PlacedEvent) => MergedItem {
  let last = startAt
  return (placed) => {
    const { file, line } = placed
    switch (placed.type) {
      case 'event': {
        const { observedAt } = placed.event
        if (observedAt !== undefined) {
          last = observedAt
          return { type: 'event', event: { ...placed.event, observedAt }, file, line }
        }
        last = Math.max(last, estimatedTime(placed) ?? last)
        return { type: 'event', event: { ...placed.event, observedAt: last, estimated: true }, file, line }
      }
      case 'watch-error':
        last = Math.max(last, placed.observedAt ?? last)
        return { ...placed, observedAt: last }
      case 'passed-over':
        last = Math.max(last, placed.observedAt ?? last)
        return { ...placed, observedAt: last }
      case 'request': {
        // Lines of an audit log are in order of their end, but for some milliseconds: settleAudit puts them right.
        const observedAt = placed.request.completedAt
        last = Math.max(last, observedAt)
        const { event, ...request } = placed
        return { ...request, observedAt, ...(event && { event: { ...event, observedAt } }) }
      }
      case 'bad':
        return { type: 'bad-line', cause: placed.cause, observedAt: last, file, line }
      default:
        return assertNever(placed)
    }
  }
}

/** When the object was last written, as far as it says; whole seconds. */
function estimatedTime(placed: PlacedEvent): number | undefined {
  if (placed.type === 'request') return placed.request.completedAt
  if (placed.type !== 'event' || placed.event.type === 'BOOKMARK') return undefined
  const { managedFields, creationTimestamp } = placed.event.object.metadata
  const entries = Array.isArray(managedFields) ? managedFields.filter(isJsonObject) : []
  const times = entries.flatMap((entry) => timeOf(entry['time']))
  return times.length > 0 ? times.reduce((latest, time) => Math.max(latest, time)) : timeOf(creationTimestamp)[0]
}

function timeOf(value: unknown): readonly number[] {
  const time = typeof value === 'string' ? parseRfc3339(value) : undefined
  return time === undefined ? [] : [time]
}

type Batches = AsyncIterable<readonly MergedItem[]>

/**
 * Merges recordings by time, each of which is in order by itself. Of equal times the earlier source's comes first, and what
 * is out of order in its source stays where it stands. Memory: one batch of each source.
 */
async function* mergeByTime(sources: readonly Batches[]): AsyncGenerator<readonly MergedItem[]> {
  const [only] = sources
  if (sources.length === 1 && only !== undefined) {
    yield* only
    return
  }
  const cursors = await Promise.all(sources.map(openCursor))
  try {
    let batch: MergedItem[] = []
    for (let next = earliest(cursors); next !== undefined; next = earliest(cursors)) {
      batch.push(next.item)
      next.cursor.index += 1
      if (next.cursor.index === next.cursor.batch.length) await refill(next.cursor)
      if (batch.length < MERGED_BATCH) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  } finally {
    await Promise.all(cursors.map(async ({ iterator }) => iterator.return?.()))
  }
}

const MERGED_BATCH = 1000

interface Cursor {
  readonly iterator: AsyncIterator<readonly MergedItem[]>
  batch: readonly MergedItem[]
  index: number
}

async function openCursor(source: Batches): Promise<Cursor> {
  const cursor = { iterator: source[Symbol.asyncIterator](), batch: [], index: 0 }
  await refill(cursor)
  return cursor
}

async function refill(cursor: Cursor): Promise<void> {
  cursor.index = 0
  for (;;) {
    const next = await cursor.iterator.next()
    cursor.batch = next.done === true ? [] : next.value
    if (next.done === true || cursor.batch.length > 0) return
  }
}

function earliest(cursors: readonly Cursor[]): { readonly cursor: Cursor; readonly item: MergedItem } | undefined {
  let best: { readonly cursor: Cursor; readonly item: MergedItem } | undefined
  for (const cursor of cursors) {
    const item = cursor.batch[cursor.index]
    if (item !== undefined && (best === undefined || timeOfItem(item) < timeOfItem(best.item))) best = { cursor, item }
  }
  return best
}

/**
 * Orders what several watches of one cluster printed without times: by resourceVersion, which all kinds share, and within one
 * file and resourceVersion as it stood. What has none, such as a line that is no event, stays behind the event before it.
 */
function orderByResourceVersion(files: readonly (readonly PlacedEvent[])[]): readonly MergedItem[] {
  const keyed = files.flatMap((events) => {
    let last = ''
    return events.map((event) => ({ event, version: (last = resourceVersionOf(event) ?? last) }))
  })
  const ordered = keyed.toSorted((one, other) => compareVersions(one.version, other.version)).map(({ event }) => event)
  const first = ordered.map(estimatedTime).find((time) => time !== undefined)
  return ordered.map(timeSettler(first))
}

function resourceVersionOf(placed: PlacedEvent): string | undefined {
  if (placed.type !== 'event') return undefined
  const { event } = placed
  const version = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata['resourceVersion']
  return typeof version === 'string' && /^[0-9]+$/.test(version) ? version : undefined
}

// What stands before the first version of its file comes before all versions.
const compareVersions = (one: string, other: string): number => compareResourceVersions(one || '0', other || '0') ?? 0
