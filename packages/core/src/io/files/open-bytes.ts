import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { FileError } from './file-error.js'

export interface ByteSource {
  /** What messages call it: the path, or `standard input`. */
  readonly name: string
  /** Of the file as it lies on disk; absent for a stream. */
  readonly size?: number
  /** The bytes, unzipped. A FileError NOT_TEXT at the beginning; BAD_GZIP or CANNOT_READ in the middle leaves what came before usable. */
  readonly bytes: AsyncIterable<Buffer>
  /** Bytes taken from the disk or the stream by now, before unzipping. */
  readonly bytesRead: () => number
}

const CHUNK_BYTES = 1024 * 1024

/** Opens a file, or standard input for `-`; what begins like gzip is unzipped. FileError NOT_FOUND or CANNOT_READ. */
export async function openBytes(path: string, stdin: AsyncIterable<Buffer | string>): Promise<ByteSource> {
  if (path === '-') return byteSource('standard input', stdin)
  const size = await sizeOf(path)
  const source = byteSource(path, chunksOf(path))
  return size === undefined ? source : { ...source, size }
}

// Opened by whoever reads it: a stream that nobody reads would throw at nobody when it cannot be opened.
async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) yield chunk as Buffer
}

function byteSource(name: string, stream: AsyncIterable<Buffer | string>): ByteSource {
  let count = 0
  const counted = async function* (): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of stream) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
        count += bytes.length
        yield bytes
      }
    } catch (error) {
      throw FileError.from('CANNOT_READ', name, error)
    }
  }
  return { name, bytes: unzipped(name, counted()), bytesRead: () => count }
}

async function* unzipped(name: string, chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const first = await chunks.next()
  if (first.done === true) return
  const bytes = chain(first.value, chunks)
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
    refuseBinary(name, first.value)
    yield* bytes
    return
  }
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  // A failure destroys the gunzip stream with its cause, and the loop below throws it.
  pipeline(bytes, gunzip).catch(() => undefined)
  try {
    let isFirst = true
    for await (const chunk of gunzip) {
      if (!Buffer.isBuffer(chunk)) continue
      if (isFirst) refuseBinary(name, chunk)
      isFirst = false
      yield chunk
    }
  } catch (error) {
    throw error instanceof FileError ? error : FileError.from('BAD_GZIP', name, error)
  }
}

/** A text may have a torn line with NULs in it; what begins with a page of them is a device or no file that somebody wrote. */
function refuseBinary(name: string, beginning: Buffer): void {
  if (beginning.subarray(0, SQLITE_MAGIC.length).equals(SQLITE_MAGIC))
    throw new FileError('NOT_TEXT', name, 'a SQLite database')
  if (beginning.subarray(0, LOOKED_AT_BYTES).every((byte) => byte === 0))
    throw new FileError('NOT_TEXT', name, 'it begins with bytes that are 0')
}

/** https://www.sqlite.org/fileformat.html#magic_header_string */
const SQLITE_MAGIC = Buffer.from('SQLite format 3\0')
const LOOKED_AT_BYTES = 4096

async function* chain(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  yield* rest
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const stats = await file.stat()
      if (stats.isDirectory()) throw new FileError('CANNOT_READ', path, 'it is a directory')
      return stats.isFile() ? stats.size : undefined
    } finally {
      await file.close()
    }
  } catch (error) {
    throw FileError.from('CANNOT_READ', path, error)
  }
}
