import { mergeByTime } from './merge-by-time.js'
import { openBytes } from './open-bytes.js'
import type { ByteSource } from './open-bytes.js'
import { orderByResourceVersion } from './order-by-resource-version.js'
import { readRecordingFile } from './recording-file.js'
import type { PlacedEvent } from './recording-file.js'
import type { RecordingItem } from './recording-item.js'
import { timeSettler } from './settle-times.js'

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
 * file cannot be opened; everything after that is an item of the recording.
 */
export async function readRecording(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<Recording> {
  const sources: ByteSource[] = []
  for (const path of paths) sources.push(await openBytes(path, stdin))
  const sizes = sources.flatMap(({ size }) => (size === undefined ? [] : [size]))
  return {
    batches: inParts(mergedItems(sources)),
    bytesRead: () => sources.reduce((sum, source) => sum + source.bytesRead(), 0),
    ...(sizes.length === sources.length && { totalBytes: sizes.reduce((sum, size) => sum + size, 0) }),
  }
}

async function* mergedItems(sources: readonly ByteSource[]): AsyncGenerator<readonly RecordingItem[]> {
  const timed: AsyncIterable<readonly RecordingItem[]>[] = []
  const untimed: (readonly PlacedEvent[])[] = []
  for (const source of sources) {
    const file = await peek(readRecordingFile(source))
    const startAt = firstTime(file.head)
    if (startAt !== undefined) timed.push(settled(file.batches, startAt))
    else untimed.push(await collect(file.batches))
  }
  yield* mergeByTime(untimed.length === 0 ? timed : [...timed, once(orderByResourceVersion(untimed))])
}

/** When the file's first event was seen; undefined where it does not say so. */
function firstTime(head: readonly PlacedEvent[]): number | undefined {
  const first = head.find(({ type }) => type === 'event')
  return first?.type === 'event' ? first.event.observedAt : undefined
}

interface Peeked {
  /** Up to and with the first batch that holds an event. */
  readonly head: readonly PlacedEvent[]
  /** Everything, the head included. */
  readonly batches: AsyncIterable<readonly PlacedEvent[]>
}

async function peek(batches: AsyncGenerator<readonly PlacedEvent[]>): Promise<Peeked> {
  const head: PlacedEvent[] = []
  for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
    for (const event of next.value) head.push(event)
    if (next.value.some(({ type }) => type === 'event')) break
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
): AsyncGenerator<readonly RecordingItem[]> {
  const settle = timeSettler(startAt)
  for await (const batch of batches) yield batch.map(settle)
}

async function collect(batches: AsyncIterable<readonly PlacedEvent[]>): Promise<readonly PlacedEvent[]> {
  const all: PlacedEvent[] = []
  for await (const batch of batches) for (const event of batch) all.push(event)
  return all
}

/** A list as a stream of one batch. */
async function* once(items: readonly RecordingItem[]): AsyncGenerator<readonly RecordingItem[]> {
  yield await Promise.resolve(items)
}

const PART = 1000

/** A transaction is made of a part: large enough to be fast, small enough to be interrupted. */
async function* inParts(batches: AsyncIterable<readonly RecordingItem[]>): AsyncGenerator<readonly RecordingItem[]> {
  for await (const batch of batches) {
    for (let start = 0; start < batch.length; start += PART) yield batch.slice(start, start + PART)
  }
}
