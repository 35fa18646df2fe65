import { messageOf } from '../../model/language.js'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'

/** What can go wrong with a file that the user named, each with what to do about it. */
export const FILE_ERRORS = {
  NOT_FOUND: 'no such file: check the path',
  CANNOT_READ: 'it cannot be read',
  CANNOT_WRITE: 'it cannot be written',
  BAD_GZIP: 'the gzip data is truncated or damaged: copy the file again; the data before the damage was read',
  NOT_TEXT: 'not a text file: give JSON, JSON lines or YAML; a change log goes with --log',
  NOT_YAML: 'neither YAML nor JSON',
  NOT_OBJECTS: 'no Kubernetes objects: give the output of `kubectl get services,endpointslices,nodes -A -o json`',
  NOT_CONFIG: 'not a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)',
} as const
export type FileErrorCode = keyof typeof FILE_ERRORS

/** A failure with a file from outside. The message is one line: the file, what is wrong, what to do. */
export class FileError extends Error {
  readonly code: FileErrorCode
  readonly file: string

  constructor(code: FileErrorCode, file: string, detail?: string, options?: ErrorOptions) {
    super(`${file}: ${FILE_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`, options)
    this.name = 'FileError'
    this.code = code
    this.file = file
  }

  /** Wraps what the file system or a parser threw; a FileError stays itself, a missing file becomes NOT_FOUND. */
  static from(code: FileErrorCode, file: string, error: unknown): FileError {
    if (error instanceof FileError) return error
    const systemCode =
      error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
    if (systemCode === 'ENOENT') return new FileError('NOT_FOUND', file, undefined, { cause: error })
    const detail = systemCode ?? messageOf(error)
    return new FileError(code, file, detail, { cause: error })
  }
}

export interface ByteSource {
  /** What messages call it: the path, or `standard input`. */
  readonly name: string
  /** Of the file as it lies on disk; absent for a stream. */
  readonly size?: number
  /** The bytes, unzipped. A FileError NOT_TEXT at the beginning; BAD_GZIP or CANNOT_READ in the middle leaves what came before usable. */
  readonly bytes: AsyncGenerator<Buffer>
  /** Bytes taken from the disk or the stream by now, before unzipping. */
  readonly bytesRead: () => number
}

const CHUNK_BYTES = 1024 * 1024

/**
 * Opens a file, or standard input for `-`; what begins like gzip is unzipped, and UTF-16 becomes UTF-8. FileError NOT_FOUND or
 * CANNOT_READ.
 */
export async function openBytes(path: string, stdin: AsyncIterable<Buffer | string>): Promise<ByteSource> {
  if (path === '-') return byteSource('standard input', stdin)
  const size = await sizeOf(path)
  const source = byteSource(path, chunksOf(path))
  return size === undefined ? source : { ...source, size }
}

// Opened by its reader: the error of a stream without a reader would be lost.
async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) yield chunk as Buffer
}

function byteSource(name: string, stream: AsyncIterable<Buffer | string>, { isTarRead = false } = {}): ByteSource {
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
  return { name, bytes: unzipped(name, counted(), isTarRead), bytesRead: () => count }
}

/** Bytes as text has them: unzipped, and UTF-8. FileError NOT_TEXT for others; a tar archive is left as it is where it is read. */
export async function* unzipped(
  name: string,
  chunks: AsyncGenerator<Buffer>,
  isTarRead: boolean,
): AsyncGenerator<Buffer> {
  const { head, bytes } = await withHead(chunks)
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    yield* asUtf8(name, head, bytes, isTarRead)
    return
  }
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  // A failure destroys the gunzip stream with its cause, and the loop below throws it.
  pipeline(bytes, gunzip).catch(() => undefined)
  try {
    const inner = await withHead(buffersOf(gunzip))
    yield* asUtf8(name, inner.head, inner.bytes, isTarRead)
  } catch (error) {
    throw error instanceof FileError ? error : FileError.from('BAD_GZIP', name, error)
  } finally {
    gunzip.destroy()
  }
}

async function* buffersOf(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) yield chunk
}

/** Enough to know a tar archive by. */
const HEAD_BYTES = 512

/** The first bytes of a stream, as many as say what it is, and all of it. Text is not waited for beyond its first piece. */
async function withHead(
  chunks: AsyncGenerator<Buffer>,
): Promise<{ readonly head: Buffer; readonly bytes: AsyncGenerator<Buffer> }> {
  const first: Buffer[] = []
  let size = 0
  let isText = false
  while (size < 2 || (size < HEAD_BYTES && !isText)) {
    const next = await chunks.next()
    if (next.done === true) break
    first.push(next.value)
    size += next.value.length
    isText = !next.value.includes(0)
  }
  const [only] = first
  const head = first.length === 1 && only !== undefined ? only : Buffer.concat(first)
  return { head, bytes: chain(head, chunks) }
}

/** Text as UTF-8, whatever Unicode it was written in: Windows PowerShell writes what a command prints as UTF-16. */
async function* asUtf8(
  name: string,
  head: Buffer,
  bytes: AsyncGenerator<Buffer>,
  isTarRead: boolean,
): AsyncGenerator<Buffer> {
  const encoding = utf16Of(head)
  if (encoding === undefined) {
    const binary = binaryOf(head)
    if (binary !== undefined && !(isTarRead && binary === TAR)) throw new FileError('NOT_TEXT', name, binary)
    yield* bytes
    return
  }
  const decoder = new TextDecoder(encoding)
  for await (const chunk of bytes) yield Buffer.from(decoder.decode(chunk, { stream: true }))
  yield Buffer.from(decoder.decode())
}

/** By its byte order mark; without one, by the zeros that stand beside ASCII. */
function utf16Of(head: Buffer): 'utf-16le' | 'utf-16be' | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be'
  const beginning = head.subarray(0, HEAD_BYTES)
  const zerosAt = (parity: number): number => beginning.filter((byte, at) => byte === 0 && at % 2 === parity).length
  const [even, odd] = [zerosAt(0), zerosAt(1)]
  const most = beginning.length * 0.4
  return odd > most && even === 0 ? 'utf-16le' : even > most && odd === 0 ? 'utf-16be' : undefined
}

const TAR = 'a tar archive: unpack it with `tar xf`'

/**
 * What begins so, if it is no text. A text may have a torn line with NULs in it; what begins with a page of them is a device or
 * no file that a person wrote.
 */
function binaryOf(head: Buffer): string | undefined {
  const known = MAGIC.find(([magic]) => head.subarray(0, magic.length).equals(magic))
  if (known !== undefined) return known[1]
  // https://www.gnu.org/software/tar/manual/html_node/Standard.html
  if (head.subarray(257, 262).toString('latin1') === 'ustar') return TAR
  return head.length > 0 && head.subarray(0, LOOKED_AT_BYTES).every((byte) => byte === 0)
    ? 'it begins with bytes that are 0'
    : undefined
}

const MAGIC: readonly (readonly [Buffer, string])[] = [
  // https://www.sqlite.org/fileformat.html#magic_header_string
  [Buffer.from('SQLite format 3\0'), 'a SQLite database'],
  [Buffer.from('PK\u0003\u0004'), 'a zip archive: run `unzip` on it, and give what was in it'],
  [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), 'xz data: run `unxz` on it, or `tar xf` where it is an archive'],
  [Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'zstd data: run `unzstd` on it, or `tar xf` where it is an archive'],
  [Buffer.from('BZh'), 'bzip2 data: run `bunzip2` on it, or `tar xf` where it is an archive'],
  [Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]), 'a 7-Zip archive: unpack it, and give what was in it'],
  [Buffer.from('k8s\0'), 'protobuf of an API server: run `kubectl get -o json`'],
  [Buffer.from('%PDF-'), 'a PDF document'],
  [Buffer.from([0x89, 0x50, 0x4e, 0x47]), 'a picture: give the text'],
  [Buffer.from([0xff, 0xd8, 0xff]), 'a picture: give the text'],
  [Buffer.from('\u007fELF'), 'a program'],
  [Buffer.from([0xd4, 0xc3, 0xb2, 0xa1]), 'captured packets (pcap)'],
]
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

/** Lines as they stand in a file, without their line feeds; a carriage return stays. Lines count from 1. */
export type LineBlock =
  | { readonly type: 'lines'; readonly firstLine: number; readonly lines: readonly string[] }
  /** A line that is longer than `maxLineBytes` and was not kept. */
  | { readonly type: 'too-long'; readonly line: number }

// Its bytes, its text and its value are there at once, and stay below a gigabyte.
export const MAX_LINE_BYTES = 128 * 1024 * 1024
const LINE_FEED = 10

/**
 * Cuts a stream of UTF-8 bytes into lines, a block for each chunk, so that a line costs no more than its decoding. Memory is
 * bounded by a chunk and the longest line. The last line need not end in a line feed; a byte order mark is taken off.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<LineBlock> {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let isSkipping = false
  let nextLine = 1
  for await (const chunk of chunks) {
    let rest = chunk
    if (isSkipping) {
      const end = rest.indexOf(LINE_FEED)
      if (end === -1) continue
      isSkipping = false
      rest = rest.subarray(end + 1)
      yield { type: 'too-long', line: nextLine }
      nextLine += 1
    }
    const end = rest.lastIndexOf(LINE_FEED)
    if (end !== -1) {
      pending.push(rest.subarray(0, end))
      const lines = decode(pending, nextLine).split('\n')
      yield { type: 'lines', firstLine: nextLine, lines }
      nextLine += lines.length
      pending = []
      pendingBytes = 0
      rest = rest.subarray(end + 1)
    }
    if (rest.length === 0) continue
    pending.push(rest)
    pendingBytes += rest.length
    if (pendingBytes <= maxLineBytes) continue
    isSkipping = true
    pending = []
    pendingBytes = 0
  }
  if (isSkipping) yield { type: 'too-long', line: nextLine }
  if (pending.length > 0) yield { type: 'lines', firstLine: nextLine, lines: [decode(pending, nextLine)] }
}

function decode(parts: readonly Buffer[], line: number): string {
  const [only] = parts
  const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
  const isMarked = line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return bytes.toString('utf8', isMarked ? 3 : 0)
}

/** Of a file that is read as a whole, unzipped. A cluster at the limits of Kubernetes takes some 200 MB. */
export const MAX_TEXT_BYTES = 256 * 1024 * 1024

/**
 * A whole file, or standard input for `-`, as text; unzipped, without a byte order mark. FileError when it cannot be read, or is
 * larger than `maxBytes`: what a little gzip unpacks to has a limit.
 */
export async function readText(
  path: string,
  stdin: AsyncIterable<Buffer | string>,
  maxBytes = MAX_TEXT_BYTES,
): Promise<{ readonly name: string; readonly text: string }> {
  const { name, bytes } = await openBytes(path, stdin)
  return { name, text: await textOf(name, bytes, { maxBytes }) }
}

interface TextLimit {
  readonly maxBytes: number
  readonly tooLarge?: () => FileError
}

/** All bytes as text. FileError CANNOT_READ when they are more. */
export async function textOf(
  name: string,
  bytes: AsyncIterable<Buffer>,
  { maxBytes, tooLarge }: TextLimit,
): Promise<string> {
  // Decoded as they come: bytes and text of a whole file at once would be three times its size.
  const decoder = new StringDecoder('utf8')
  const parts: string[] = []
  let size = 0
  for await (const chunk of bytes) {
    parts.push(decoder.write(chunk))
    size += chunk.length
    if (size > maxBytes)
      throw tooLarge?.() ?? new FileError('CANNOT_READ', name, `it is larger than ${maxBytes / 1024 / 1024} MiB`)
  }
  parts.push(decoder.end())
  const text = parts.join('')
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}

/** Opens a file, or standard input for `-`, that may be a tar archive. FileError as `openBytes`. */
export async function openUnzipped(
  path: string,
  stdin: AsyncIterable<Buffer | string>,
): Promise<{ readonly name: string; readonly bytes: AsyncGenerator<Buffer>; readonly isTar: boolean }> {
  if (path !== '-') await sizeOf(path)
  const source = path === '-' ? byteSource('standard input', stdin, TARS) : byteSource(path, chunksOf(path), TARS)
  const { head, bytes } = await withHead(source.bytes)
  return { name: source.name, bytes, isTar: binaryOf(head) === TAR }
}

const TARS = { isTarRead: true } as const
