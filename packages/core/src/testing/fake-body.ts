/** How the body of an answer goes wrong. Bytes count from its beginning. */
export type BodyFault =
  /** The connection is closed as if all were said. */
  | { readonly type: 'closed'; readonly afterBytes: number }
  /** The connection breaks. */
  | { readonly type: 'reset'; readonly afterBytes: number }
  /** Nothing comes any more, and nothing ends. */
  | { readonly type: 'silent'; readonly afterBytes: number }
  /** One byte is another. */
  | { readonly type: 'garbled'; readonly atByte: number }

/** A body that is written as time goes by. */
export interface FakeBody {
  readonly body: AsyncIterable<Uint8Array>
  write(text: string): void
  end(): void
  /** The connection breaks. */
  break(): void
  readonly isOpen: boolean
}

/** `pieces` says how long each piece is that the reader gets; absent: as it was written. */
export function createFakeBody(
  signal: AbortSignal,
  { fault, pieces }: { readonly fault?: BodyFault; readonly pieces?: () => number } = {},
): FakeBody {
  const queue: (Uint8Array | 'end' | 'reset')[] = []
  let written = 0
  let isOpen = true
  let wake: () => void = () => undefined

  const push = (item: Uint8Array | 'end' | 'reset'): void => {
    queue.push(item)
    wake()
  }
  const finish = (how: 'end' | 'reset' | 'silence'): void => {
    isOpen = false
    if (how !== 'silence') push(how)
  }
  const send = (bytes: Uint8Array): void => {
    if (pieces === undefined) return push(bytes)
    for (let start = 0; start < bytes.length;) {
      const length = Math.max(1, pieces())
      push(bytes.subarray(start, start + length))
      start += length
    }
  }
  const abort = (): void => {
    isOpen = false
    wake()
  }
  signal.addEventListener('abort', abort, { once: true })

  if (fault?.type === 'closed' && fault.afterBytes === 0) finish('end')

  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const item = queue.shift()
        if (item === 'end') return
        if (item === 'reset') throw new Error('read ECONNRESET')
        if (item !== undefined) yield item
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      isOpen = false
      signal.removeEventListener('abort', abort)
    }
  }

  return {
    body: read(),
    write(text) {
      if (!isOpen) return
      const bytes = Buffer.from(text)
      const start = written
      written += bytes.length
      if (fault === undefined) return send(bytes)
      if (fault.type === 'garbled') {
        const at = fault.atByte - start
        if (at >= 0 && at < bytes.length) bytes[at] = 0xff
        return send(bytes)
      }
      if (written < fault.afterBytes) return send(bytes)
      send(bytes.subarray(0, fault.afterBytes - start))
      finish(fault.type === 'closed' ? 'end' : fault.type === 'reset' ? 'reset' : 'silence')
    },
    end() {
      if (isOpen) finish('end')
    },
    break() {
      if (isOpen) finish('reset')
    },
    get isOpen() {
      return isOpen
    },
  }
}
