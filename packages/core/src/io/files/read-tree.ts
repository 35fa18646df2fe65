import { constants, createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../model/language.js'
import { FileError, openUnzipped, textOf, unzipped } from './read-file.js'

/** A text that was asked for. */
export interface FoundText {
  /** The file, or the one that it was found in and its name there: `must-gather.tar.gz: namespaces/shop/core/services.yaml`. */
  readonly name: string
  readonly text: string
  /** It was found in a directory or an archive, which hold other files, too. */
  readonly isOfMany: boolean
}

interface TextsQuestion {
  /** Whether a file of a directory or an archive is worth reading, by its first characters. */
  readonly isWanted: (beginning: string) => boolean
  /** Of all texts together. */
  readonly maxBytes: number
}

/** What there is, and what could not be read of it. */
interface FoundTexts {
  readonly texts: AsyncGenerator<FoundText>
  /** Files of a directory or an archive that were looked at by now; 0 for a text by itself. */
  readonly lookedAt: () => number
  /** Grows while the texts are read. */
  readonly problems: readonly string[]
}

/** Files of a directory or an archive. */
const MOST_FILES = 100_000
const MOST_FOLDERS_DEEP = 40
/** Read of each file to know what it is. */
const BEGINNING_BYTES = 64 * 1024

/**
 * The text of a file, or of standard input for `-`; of a directory or a tar archive, gzip or not, those of its files that begin as
 * wanted. Symbolic links within are not followed, devices and pipes not opened, and nothing is unpacked to the disk. FileError
 * when the file itself cannot be read, there are too many, or they are too large together.
 */
export function findTexts(
  path: string,
  stdin: AsyncIterable<Buffer | string>,
  { isWanted, maxBytes }: TextsQuestion,
): FoundTexts {
  const problems: string[] = []
  const room = { files: MOST_FILES, bytes: maxBytes }
  const tooLarge = (name: string): FileError =>
    new FileError('CANNOT_READ', name, `its texts are larger than ${maxBytes / 1024 / 1024} MiB together`)

  /** The text of one of many files; undefined: it is something else, or cannot be read. */
  async function wantedText(name: string, bytes: AsyncGenerator<Buffer>): Promise<string | undefined> {
    if (--room.files < 0) throw new FileError('CANNOT_READ', path, `it holds more than ${MOST_FILES} files`)
    try {
      const beginning: Buffer[] = []
      let size = 0
      while (size < BEGINNING_BYTES) {
        const next = await bytes.next()
        if (next.done === true) break
        beginning.push(next.value)
        size += next.value.length
      }
      const head = Buffer.concat(beginning)
      if (!isWanted(head.toString('utf8', 0, BEGINNING_BYTES))) return undefined
      const text = await textOf(name, chained(head, bytes), { maxBytes: room.bytes, tooLarge: () => tooLarge(path) })
      room.bytes -= Buffer.byteLength(text)
      return text
    } catch (error) {
      // What is no text is none of those that are wanted.
      if (error instanceof FileError && (error.code === 'NOT_TEXT' || error.file !== name)) {
        if (error.code === 'NOT_TEXT') return undefined
        throw error
      }
      if (problems.length < MOST_PROBLEMS)
        problems.push(error instanceof FileError ? error.message : `${name}: ${messageOf(error)}`)
      return undefined
    } finally {
      await bytes.return(undefined)
    }
  }

  async function* texts(): AsyncGenerator<FoundText> {
    const isFolder = path !== '-' && (await isDirectory(path))
    if (isFolder) {
      for await (const file of filesBelow(path)) {
        const text = await wantedText(file, unzipped(file, chunksOf(file), false))
        if (text !== undefined) yield { name: file, text, isOfMany: true }
      }
      return
    }
    const { name, bytes, isTar } = await openUnzipped(path, stdin)
    if (!isTar) {
      yield { name, text: await textOf(name, bytes, { maxBytes }), isOfMany: false }
      return
    }
    for await (const file of archivedFiles(name, bytes)) {
      const label = `${name}: ${file.name}`
      const text = await wantedText(label, unzipped(label, file.bytes, false))
      if (text !== undefined) yield { name: label, text, isOfMany: true }
    }
  }

  return { texts: texts(), problems, lookedAt: () => MOST_FILES - room.files }
}

/** Files that could not be read, each named. */
const MOST_PROBLEMS = 10

async function* chained(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  yield* rest
}

// A link that was put in the place of the file since is refused.
async function* chunksOf(file: string): AsyncGenerator<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  // node takes numbers, which its types do not say.
  const stream = createReadStream(file, { flags: flags as unknown as string, highWaterMark: BEGINNING_BYTES })
  for await (const chunk of stream) yield chunk as Buffer
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    throw FileError.from('CANNOT_READ', path, error)
  }
}

/** The regular files below a directory, in order of their names; what cannot be listed is passed over. */
async function* filesBelow(root: string): AsyncGenerator<string> {
  const open: { readonly folder: string; readonly depth: number }[] = [{ folder: root, depth: 0 }]
  let count = 0
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { folder, depth } = next
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      if (folder === root) throw FileError.from('CANNOT_READ', folder, error)
      return []
    })
    count += entries.length
    if (count > MOST_FILES) throw new FileError('CANNOT_READ', root, `it holds more than ${MOST_FILES} files`)
    const sorted = entries.toSorted((one, other) => (one.name < other.name ? -1 : 1))
    for (const entry of sorted) if (entry.isFile()) yield join(folder, entry.name)
    for (const entry of sorted.toReversed())
      if (entry.isDirectory() && depth < MOST_FOLDERS_DEEP)
        open.push({ folder: join(folder, entry.name), depth: depth + 1 })
  }
}

/** A regular file in an archive. Its bytes can be read while it is the current one; what is left of them is passed over. */
interface ArchivedFile {
  /** As the archive says it. It is shown, and never used as a path. */
  readonly name: string
  readonly bytes: AsyncGenerator<Buffer>
}

/** What an archive unpacks to, whatever it was packed from. */
const MAX_ARCHIVE_BYTES = 2 * 1024 * 1024 * 1024
const MAX_NAME_BYTES = 64 * 1024
const BLOCK = 512

/**
 * The regular files of a tar archive (ustar, with the long names of GNU tar and pax), in its order. Links, devices and sparse
 * files are passed over. FileError CANNOT_READ for what is damaged, cut off, or unpacks to too much.
 * Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
export async function* archivedFiles(archive: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<ArchivedFile> {
  const reader = blockReader(archive, chunks)
  try {
    let longName: string | undefined
    for (let header = await reader.header(); header !== undefined; header = await reader.header()) {
      const { type, size } = header
      const padding = (BLOCK - (size % BLOCK)) % BLOCK
      if (type === 'L' || type === 'x') {
        if (size > MAX_NAME_BYTES)
          throw new FileError('CANNOT_READ', archive, 'the tar archive has a name that is too long')
        const text = (await reader.take(size)).toString('utf8')
        longName = type === 'L' ? text.replace(/\0.*$/s, '') : (/^\d+ path=(.*)$/m.exec(text)?.[1] ?? longName)
        await reader.skip(padding)
        continue
      }
      const left = { bytes: size }
      const isRegular = type === '0' || type === '\0' || type === '7'
      if (isRegular) yield { name: (longName ?? header.name).replace(/^(?:\.\/)+/, ''), bytes: reader.stream(left) }
      await reader.skip(left.bytes + padding)
      longName = undefined
    }
  } finally {
    await reader.close()
  }
}

interface Header {
  readonly name: string
  readonly type: string
  readonly size: number
}

interface BlockReader {
  /** Undefined: the archive has ended. */
  readonly header: () => Promise<Header | undefined>
  readonly take: (bytes: number) => Promise<Buffer>
  readonly skip: (bytes: number) => Promise<void>
  /** Counts down what is left. */
  readonly stream: (left: { bytes: number }) => AsyncGenerator<Buffer>
  readonly close: () => Promise<void>
}

function blockReader(archive: string, chunks: AsyncIterable<Buffer>): BlockReader {
  const iterator = chunks[Symbol.asyncIterator]()
  const damaged = (): FileError => new FileError('CANNOT_READ', archive, 'the tar archive is damaged or cut off')
  let rest: Buffer = Buffer.alloc(0)
  let total = 0

  /** At most that many bytes that are there; none at the end. */
  const some = async (most: number): Promise<Buffer> => {
    while (rest.length === 0) {
      const next = await iterator.next()
      if (next.done === true) return rest
      rest = next.value
      total += rest.length
      if (total > MAX_ARCHIVE_BYTES)
        throw new FileError('CANNOT_READ', archive, 'it unpacks to more than 2 GiB: unpack it, and give the directory')
    }
    const part = rest.subarray(0, most)
    rest = rest.subarray(part.length)
    return part
  }
  const take = async (bytes: number): Promise<Buffer> => {
    const parts: Buffer[] = []
    for (let missing = bytes; missing > 0;) {
      const part = await some(missing)
      if (part.length === 0) throw damaged()
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }
  return {
    take,
    async header() {
      const first = await some(BLOCK)
      if (first.length === 0) return undefined
      const block = first.length === BLOCK ? first : Buffer.concat([first, await take(BLOCK - first.length)])
      if (block.every((byte) => byte === 0)) return undefined
      const header = headerOf(block)
      if (header === undefined) throw damaged()
      return header
    },
    async skip(bytes) {
      for (let left = bytes; left > 0;) {
        const part = await some(left)
        if (part.length === 0) throw damaged()
        left -= part.length
      }
    },
    async *stream(left) {
      while (left.bytes > 0) {
        const part = await some(left.bytes)
        if (part.length === 0) throw damaged()
        left.bytes -= part.length
        yield part
      }
    },
    async close() {
      await iterator.return?.()
    },
  }
}

/** Undefined: its checksum is wrong. */
function headerOf(block: Buffer): Header | undefined {
  const text = (from: number, to: number): string => block.subarray(from, to).toString('utf8').replace(/\0.*$/s, '')
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0)
  if (Number.parseInt(text(148, 156).trim(), 8) !== sum) return undefined
  const size = sizeIn(block)
  if (size === undefined) return undefined
  const prefix = text(257, 262) === 'ustar' && block[262] === 0 ? text(345, 500) : ''
  const name = text(0, 100)
  return { name: prefix === '' ? name : `${prefix}/${name}`, type: String.fromCharCode(block[156] ?? 0), size }
}

/** In octal digits, or of GNU tar as a number of bytes. */
function sizeIn(block: Buffer): number | undefined {
  const field = block.subarray(124, 136)
  const isBinary = ((field[0] ?? 0) & 0x80) !== 0
  const size = isBinary ? Number(field.readBigUInt64BE(4)) : Number.parseInt(field.toString('latin1').trim() || '0', 8)
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined
}
