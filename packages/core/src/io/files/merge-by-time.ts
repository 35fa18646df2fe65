import { timeOfItem } from './recording-item.js'
import type { RecordingItem } from './recording-item.js'

type Batches = AsyncIterable<readonly RecordingItem[]>

/**
 * Merges recordings by time, each of which is in order by itself. Of equal times the earlier source's comes first, and what
 * is out of order in its source stays where it stands. Memory: one batch of each source.
 */
export async function* mergeByTime(sources: readonly Batches[]): AsyncGenerator<readonly RecordingItem[]> {
  const [only] = sources
  if (sources.length === 1 && only !== undefined) {
    yield* only
    return
  }
  const cursors = await Promise.all(sources.map(openCursor))
  try {
    let batch: RecordingItem[] = []
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
  readonly iterator: AsyncIterator<readonly RecordingItem[]>
  batch: readonly RecordingItem[]
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

function earliest(cursors: readonly Cursor[]): { readonly cursor: Cursor; readonly item: RecordingItem } | undefined {
  let best: { readonly cursor: Cursor; readonly item: RecordingItem } | undefined
  for (const cursor of cursors) {
    const item = cursor.batch[cursor.index]
    if (item !== undefined && (best === undefined || timeOfItem(item) < timeOfItem(best.item))) best = { cursor, item }
  }
  return best
}
