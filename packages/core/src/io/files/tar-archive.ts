import { FileError } from './read-file.js'

/** A regular file in an archive. Its bytes can be read while it is the current one; what is left of them is passed over. */
export interface ArchivedFile {
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
