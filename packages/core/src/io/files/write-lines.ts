import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { FileError } from './read-file.js'

/** A file that comes to be whole or not at all. */
export interface LinesFile {
  write(text: string): void
  /** Puts the file in its place, over one that is there. */
  finish(): void
  /** Leaves what was there as it was. */
  abandon(): void
}

/**
 * Opens a file for text, mode 0600 whatever the umask: recordings tell as much as the log that they come from. Compressed
 * where the name ends in `.gz`. It is written beside its place and moved there by `finish`: a symbolic link is replaced and
 * never followed, so that nobody leads the text into another file. What is below /dev and /proc is opened as it is; anything
 * else that is no plain file is left alone. FileError CANNOT_WRITE.
 */
export function openLinesFile(path: string, { unique }: { readonly unique: string }): LinesFile {
  const isDevice = /^\/(?:dev|proc)\//.test(resolve(path))
  const temporary = isDevice ? path : join(dirname(path), `.${basename(path)}.${unique}.part`)
  const isGzip = path.endsWith('.gz')
  const failing = <Result>(action: () => Result): Result => {
    try {
      return action()
    } catch (error) {
      throw FileError.from('CANNOT_WRITE', path, error)
    }
  }
  const descriptor = failing(() => {
    if (isDevice) return openSync(path, 'w')
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
      throw new FileError('CANNOT_WRITE', path, 'not a regular file')
    const made = openSync(temporary, 'wx', 0o600)
    fchmodSync(made, 0o600)
    return made
  })
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
        if (!isDevice) fsyncSync(descriptor)
        closeSync(descriptor)
        if (!isDevice) renameSync(temporary, path)
      }),
    abandon() {
      try {
        closeSync(descriptor)
      } catch {
        // `finish` has closed it before it failed.
      }
      if (!isDevice) rmSync(temporary, { force: true })
    },
  }
}

const PORTION = 1 << 20

function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written)
}
