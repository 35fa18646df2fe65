import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib'
import type Database from 'better-sqlite3'
import { OBJECT_KINDS, type ObjectKind } from '../../model/kubernetes-object.js'
import {
  bounded,
  checkBytes,
  checkCount,
  checkText,
  MAX_TEXT_BYTES,
  parseStored,
  type Place,
} from './checked-values.js'
import { Damage } from './errors.js'

/** All live objects at a position, as text by id, and the kinds received whole by then. */
export interface Snapshot {
  readonly seq: number
  readonly received: ReadonlySet<ObjectKind>
  /** How many there are. */
  readonly objects: number
}

export interface Snapshots {
  write(
    snapshot: Omit<Snapshot, 'objects'> & {
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
/** Bytes that a chunk inflates to at most: its text ends with the object that goes beyond CHUNK_BYTES characters of up to 3 bytes. */
const MAX_CHUNK_BYTES = MAX_TEXT_BYTES + 4 * CHUNK_BYTES
/** Characters of inflated chunks that are kept, beside the chunk read last. */
const CACHED_CHARACTERS = 16 * CHUNK_BYTES

export function createSnapshots(db: Database.Database): Snapshots {
  const insert = db.prepare('INSERT INTO snapshots (seq, observed_at, received, objects) VALUES (?, ?, ?, ?)')
  const insertChunk = db.prepare('INSERT INTO snapshot_chunks (snapshot_seq, first_object_id, lines) VALUES (?, ?, ?)')
  const newest = db
    .prepare(`SELECT seq, ${bounded('received')}, objects FROM snapshots WHERE seq <= ? ORDER BY seq DESC LIMIT 1`)
    .raw()
  const chunks = db
    .prepare(
      `SELECT first_object_id, ${bounded('lines')} FROM snapshot_chunks WHERE snapshot_seq = ? AND first_object_id > ? ORDER BY first_object_id LIMIT 1`,
    )
    .raw()
  const chunkOf = db
    .prepare(
      'SELECT id, first_object_id FROM snapshot_chunks WHERE snapshot_seq = ? AND first_object_id <= ? ORDER BY first_object_id DESC LIMIT 1',
    )
    .raw()
  const chunk = db.prepare(`SELECT ${bounded('lines')} FROM snapshot_chunks WHERE id = ?`).pluck()
  const removeChunks = db.prepare('DELETE FROM snapshot_chunks WHERE snapshot_seq = ?')
  const removeSnapshot = db.prepare('DELETE FROM snapshots WHERE seq = ?')
  const cache = new Map<number, ReadonlyMap<number, string>>()

  let cached = 0

  const inflated = (seq: number, [id, firstId]: readonly [number, number]): ReadonlyMap<number, string> => {
    const known = cache.get(id)
    if (known !== undefined) return known
    const lines = new Map(parseLines(chunk.get(id), firstId, seq))
    for (const text of lines.values()) cached += text.length
    if (cached > CACHED_CHARACTERS) {
      cache.clear()
      cached = 0
    }
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
      const row = newest.get(seq) as readonly unknown[] | undefined
      if (row === undefined) return undefined
      const place: Place = `snapshot ${Number(row[0])}`
      const position = checkCount(row[0], place, 'the position')
      const names = parseStored(checkText(row[1], place, 'its kinds'), place, 'its kinds')
      if (!Array.isArray(names)) throw new Damage(place, 'its kinds are not a list')
      return {
        seq: position,
        received: new Set(OBJECT_KINDS.filter((kind) => names.includes(kind))),
        objects: checkCount(row[2], place, 'the number of its objects'),
      }
    },
    *lines(seq) {
      let last = -1
      for (;;) {
        const row = chunks.get(seq, last) as readonly unknown[] | undefined
        if (row === undefined) return
        for (const line of parseLines(row[1], row[0], seq)) {
          last = line[0]
          yield line
        }
      }
    },
    line(seq, id) {
      const found = chunkOf.get(seq, id) as readonly [number, number] | undefined
      return found === undefined ? undefined : inflated(seq, found).get(id)
    },
    remove(seq) {
      removeChunks.run(seq)
      removeSnapshot.run(seq)
      cache.clear()
      cached = 0
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

/**
 * JSON text holds no line break, so that a line is an object. Ids increase within a chunk and from one to the next, and a
 * chunk begins with the id in its row: a reader that goes on behind the last id meets each chunk once.
 */
function parseLines(compressed: unknown, firstId: unknown, seq: number): (readonly [id: number, text: string])[] {
  const place: Place = `snapshot ${seq}`
  let last = checkCount(firstId, place, 'the first object of a chunk') - 1
  return inflate(checkBytes(compressed, place, 'a chunk'), place)
    .split('\n')
    .map((line, index) => {
      const space = line.indexOf(' ')
      const id = checkCount(Number(line.slice(0, Math.max(space, 0)) || Number.NaN), place, 'the id of an object')
      if (id <= last || (index === 0 && id !== firstId)) throw new Damage(place, `object ${id} is out of its order`)
      last = id
      return [id, line.slice(space + 1)]
    })
}

function inflate(compressed: Buffer, place: Place): string {
  try {
    return brotliDecompressSync(compressed, { maxOutputLength: MAX_CHUNK_BYTES }).toString('utf8')
  } catch (error) {
    const isTooLong = error instanceof RangeError
    const what = isTooLong ? `inflates to more than ${MAX_CHUNK_BYTES} bytes` : 'cannot be inflated'
    throw new Damage(place, `a chunk ${what}`, { cause: error })
  }
}
