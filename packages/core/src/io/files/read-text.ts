import { FileError } from './file-error.js'
import { openBytes } from './open-bytes.js'

/** Of a file that is read as a whole, unzipped. A cluster at the limits of Kubernetes takes some 200 MB. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024

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
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    chunks.push(chunk)
    size += chunk.length
    if (size > maxBytes) throw new FileError('CANNOT_READ', name, `it is larger than ${maxBytes / 1024 / 1024} MiB`)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return { name, text: text.startsWith('\uFEFF') ? text.slice(1) : text }
}
