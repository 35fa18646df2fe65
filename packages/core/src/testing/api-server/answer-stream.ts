import { createChunkWriter } from './chunk-writer.js'
import type { ServerResponse } from 'node:http'

/** The body of a watch: lines out, and the ways in which it can end or be spoilt. */
export interface AnswerStream {
  readonly isOpen: () => boolean
  /** The line goes out with others of the same moment, in chunks as Go's server cuts them. */
  readonly send: (line: string | Uint8Array) => void
  /** What was sent so far is a chunk. */
  readonly flush: () => void
  /** Ends as an answer does. */
  readonly end: () => void
  /** Bytes as they are, past the framing; then the connection ends. */
  readonly spoil: (bytes: Uint8Array) => void
  /** Bytes within a chunk; then the connection ends, and the body has not. */
  readonly cut: (bytes: Uint8Array) => void
  readonly reset: () => void
  /** Whoever ended it. */
  readonly onClosed: (listener: () => void) => void
}

export function openAnswerStream(response: ServerResponse): AnswerStream {
  const writer = createChunkWriter((chunk) => response.write(chunk))
  let flushing: NodeJS.Immediate | undefined
  let open = true
  response.once('close', () => {
    open = false
  })
  const flush = (): void => {
    if (open) writer.flush()
  }
  const close = (how: () => void): void => {
    if (!open) return
    flush()
    open = false
    clearImmediate(flushing)
    how()
  }
  return {
    isOpen: () => open,
    send(line) {
      if (!open) return
      writer.write(typeof line === 'string' ? Buffer.from(line) : line)
      clearImmediate(flushing)
      flushing = setImmediate(flush)
    },
    flush,
    end: () => close(() => response.end()),
    spoil: (bytes) =>
      close(() => {
        response.socket?.end(bytes)
      }),
    cut: (bytes) =>
      close(() => {
        response.write(bytes)
        response.socket?.end()
      }),
    // What was sent before still arrives.
    reset: () => close(() => response.socket?.destroySoon()),
    onClosed: (listener) => response.once('close', listener),
  }
}
