/** Cuts bytes, that come in whatever pieces, at line feeds. */
export interface LineCutter {
  /** The lines that are whole now, without their line feeds; blank ones are left out. A line may share memory with `bytes`. */
  push(bytes: Uint8Array): readonly Uint8Array[]
  /** Bytes of the line that has no end yet: what the cutter keeps in memory. */
  readonly pendingBytes: number
}

const LINE_FEED = 10

/** Lines stay bytes: a character may be cut in two between pieces, never between lines. */
export function createLineCutter(): LineCutter {
  let pending: Uint8Array[] = []
  let pendingBytes = 0

  const keep = (bytes: Uint8Array): void => {
    if (bytes.length === 0) return
    pending.push(bytes)
    pendingBytes += bytes.length
  }

  const takeLine = (end: Uint8Array): Uint8Array => {
    if (pending.length === 0) return end
    const line = Buffer.concat([...pending, end])
    pending = []
    pendingBytes = 0
    return line
  }

  return {
    push(bytes) {
      const lines: Uint8Array[] = []
      let start = 0
      for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
        const line = takeLine(bytes.subarray(start, end))
        if (!isBlank(line)) lines.push(line)
        start = end + 1
      }
      keep(bytes.subarray(start))
      return lines
    },
    get pendingBytes() {
      return pendingBytes
    },
  }
}

const isBlank = (line: Uint8Array): boolean => line.every((byte) => byte === 32 || byte === 9 || byte === 13)
