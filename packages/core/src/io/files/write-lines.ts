import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { FileError } from './file-error.js'

/** A file that comes to be whole or not at all. */
export interface LinesFile {
  write(text: string): void
  /** Puts the file in its place, over one that is there. */
  finish(): void
  /** Leaves what was there as it was. */
  abandon(): void
}

/**
 * Opens a file for text, mode 0600: recordings tell as much as the log that they come from. Compressed where the name ends
 * in `.gz`. It is written beside its place and moved there by `finish`. FileError CANNOT_WRITE.
 */
export function openLinesFile(path: string, { unique }: { readonly unique: string }): LinesFile {
  const temporary = join(dirname(path), `.${basename(path)}.${unique}.part`)
  const isGzip = path.endsWith('.gz')
  const failing = <Result>(action: () => Result): Result => {
    try {
      return action()
    } catch (error) {
      throw FileError.from('CANNOT_WRITE', path, error)
    }
  }
  const descriptor = failing(() => openSync(temporary, 'wx', 0o600))
  let waiting: string[] = []
  let waitingLength = 0

  const flush = (): void => {
    if (waitingLength === 0) return
    const bytes = Buffer.from(waiting.join(''), 'utf8')
    waiting = []
    waitingLength = 0
    // Several gzip members, one after the other, are one gzip file.
    writeWhole(descriptor, isGzip ? gzipSync(bytes) : bytes)
  }

  return {
    write(text) {
      waiting.push(text)
      waitingLength += text.length
      if (waitingLength >= PORTION) failing(flush)
    },
    finish: () =>
      failing(() => {
        flush()
        fsyncSync(descriptor)
        closeSync(descriptor)
        renameSync(temporary, path)
      }),
    abandon() {
      try {
        closeSync(descriptor)
      } catch {
        // `finish` has closed it before it failed.
      }
      rmSync(temporary, { force: true })
    },
  }
}

const PORTION = 1 << 20

function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written)
}
