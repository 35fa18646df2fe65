import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib'
import type Database from 'better-sqlite3'
import { OBJECT_KINDS, type ObjectKind } from '../../model/kubernetes-object.js'

/** All live objects at a position, as text by id, and the kinds received whole by then. */
export interface Snapshot {
  readonly seq: number
  readonly received: ReadonlySet<ObjectKind>
}

export interface Snapshots {
  write(
    snapshot: Snapshot & {
      readonly observedAt: number
      readonly objects: Iterable<readonly [id: number, text: string]>
    },
  ): void
  /** The newest at or before a position. */
  before(seq: number): Snapshot | undefined
  lines(seq: number): Iterable<readonly [id: number, text: string]>
  /** One object of a snapshot. */
  line(seq: number, id: number): string | undefined
  remove(seq: number): void
}

/** Bytes of text in a chunk: what reading one object has to inflate. */
const CHUNK_BYTES = 262_144
/** Inflated chunks that are kept. */
const CACHED_CHUNKS = 16

export function createSnapshots(db: Database.Database): Snapshots {
  const insert = db.prepare('INSERT INTO snapshots (seq, observed_at, received, objects) VALUES (?, ?, ?, ?)')
  const insertChunk = db.prepare('INSERT INTO snapshot_chunks (snapshot_seq, first_object_id, lines) VALUES (?, ?, ?)')
  const newest = db.prepare('SELECT seq, received FROM snapshots WHERE seq <= ? ORDER BY seq DESC LIMIT 1').raw()
  const chunks = db
    .prepare(
      'SELECT lines FROM snapshot_chunks WHERE snapshot_seq = ? AND first_object_id > ? ORDER BY first_object_id LIMIT 1',
    )
    .pluck()
  const chunkOf = db
    .prepare(
      'SELECT id FROM snapshot_chunks WHERE snapshot_seq = ? AND first_object_id <= ? ORDER BY first_object_id DESC LIMIT 1',
    )
    .pluck()
  const chunk = db.prepare('SELECT lines FROM snapshot_chunks WHERE id = ?').pluck()
  const removeChunks = db.prepare('DELETE FROM snapshot_chunks WHERE snapshot_seq = ?')
  const removeSnapshot = db.prepare('DELETE FROM snapshots WHERE seq = ?')
  const cache = new Map<number, ReadonlyMap<number, string>>()

  const inflated = (id: number): ReadonlyMap<number, string> => {
    const known = cache.get(id)
    if (known !== undefined) return known
    const lines = new Map(parseLines(chunk.get(id) as Buffer))
    const oldest = cache.keys().next()
    if (cache.size >= CACHED_CHUNKS && oldest.done !== true) cache.delete(oldest.value)
    cache.set(id, lines)
    return lines
  }

  return {
    write({ seq, received, observedAt, objects }) {
      let count = 0
      for (const { firstId, lines, size } of chunked(objects)) {
        insertChunk.run(seq, firstId, compress(lines))
        count += size
      }
      insert.run(seq, observedAt, JSON.stringify([...received].sort()), count)
    },
    before(seq) {
      const row = newest.get(seq) as [number, string] | undefined
      if (row === undefined) return undefined
      const names = JSON.parse(row[1]) as readonly string[]
      return { seq: row[0], received: new Set(OBJECT_KINDS.filter((kind) => names.includes(kind))) }
    },
    *lines(seq) {
      let last = -1
      for (;;) {
        const compressed = chunks.get(seq, last) as Buffer | undefined
        if (compressed === undefined) return
        for (const line of parseLines(compressed)) {
          last = line[0]
          yield line
        }
      }
    },
    line(seq, id) {
      const found = chunkOf.get(seq, id) as number | undefined
      return found === undefined ? undefined : inflated(found).get(id)
    },
    remove(seq) {
      removeChunks.run(seq)
      removeSnapshot.run(seq)
      cache.clear()
    },
  }
}

interface Chunk {
  readonly firstId: number
  readonly lines: string
  readonly size: number
}

function* chunked(objects: Iterable<readonly [id: number, text: string]>): Generator<Chunk> {
  let lines: string[] = []
  let firstId = 0
  let bytes = 0
  for (const [id, text] of objects) {
    if (lines.length === 0) firstId = id
    lines.push(`${id} ${text}`)
    bytes += text.length
    if (bytes < CHUNK_BYTES) continue
    yield { firstId, lines: lines.join('\n'), size: lines.length }
    lines = []
    bytes = 0
  }
  if (lines.length > 0) yield { firstId, lines: lines.join('\n'), size: lines.length }
}

// Quality 4 does 150 MB/s and makes a tenth of it; higher ones are slower by far and save little.
const compress = (text: string): Buffer => brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })

/** JSON text holds no line break, so that a line is an object. */
function parseLines(compressed: Buffer): (readonly [id: number, text: string])[] {
  const text = brotliDecompressSync(compressed).toString('utf8')
  return text.split('\n').map((line) => {
    const space = line.indexOf(' ')
    return [Number(line.slice(0, space)), line.slice(space + 1)]
  })
}
