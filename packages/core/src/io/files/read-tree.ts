import { constants, createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../model/language.js'
import { FileError, openUnzipped, textOf, unzipped } from './read-file.js'
import { archivedFiles } from './tar-archive.js'

/** A text that was asked for. */
export interface FoundText {
  /** The file, or the one that it was found in and its name there: `must-gather.tar.gz: namespaces/shop/core/services.yaml`. */
  readonly name: string
  readonly text: string
  /** It was found in a directory or an archive, which hold other files, too. */
  readonly isOfMany: boolean
}

export interface TextsQuestion {
  /** Whether a file of a directory or an archive is worth reading, by its first characters. */
  readonly isWanted: (beginning: string) => boolean
  /** Of all texts together. */
  readonly maxBytes: number
}

/** What there is, and what could not be read of it. */
export interface FoundTexts {
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
