/** Go's HTTP server holds back this many bytes of an answer. */
const BUFFER_BYTES = 2048

export interface ChunkWriter {
  readonly write: (bytes: Uint8Array) => void
  /** Emits what is held back. */
  readonly flush: () => void
}

/**
 * Cuts what is written as Go's HTTP server does: gathered until 2048 bytes are full or somebody flushes, each time a chunk;
 * what does not fit into an empty buffer is a chunk of its own. So a burst of events comes with an end of a chunk
 * anywhere, within a line or a character.
 */
export function createChunkWriter(emit: (chunk: Uint8Array) => void): ChunkWriter {
  let held: Uint8Array = new Uint8Array(0)
  const flush = (): void => {
    if (held.length > 0) emit(held)
    held = new Uint8Array(0)
  }
  const write = (bytes: Uint8Array): void => {
    const room = BUFFER_BYTES - held.length
    if (bytes.length <= room) {
      held = Buffer.concat([held, bytes])
      return
    }
    if (held.length === 0) {
      emit(bytes)
      return
    }
    held = Buffer.concat([held, bytes.subarray(0, room)])
    flush()
    write(bytes.subarray(room))
  }
  return { write, flush }
}
