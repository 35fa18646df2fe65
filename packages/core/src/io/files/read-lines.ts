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
