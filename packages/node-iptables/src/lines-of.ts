/**
 * Turns a callback that is given pieces of text, and is waited for, into lines asked for one by one. Whoever asks slowly
 * slows the source down. Leaving the loop early calls `stop`.
 */
export async function* linesOf({ start, stop }: LineSource): AsyncGenerator<string, void, undefined> {
  const waiting: string[] = []
  let wake: () => void = () => undefined
  let taken: () => void = () => undefined
  let ended = false
  const finished = start(async (piece) => {
    waiting.push(piece)
    const room = new Promise<void>((resolve) => (taken = resolve))
    wake()
    await room
  }).finally(() => {
    ended = true
    wake()
  })
  // The loop below awaits it; until then, a failure must not count as unhandled.
  finished.catch(() => undefined)

  let rest = ''
  try {
    for (;;) {
      const piece = waiting.shift()
      if (piece !== undefined) {
        const lines = (rest + piece).split('\n')
        rest = lines.pop() ?? ''
        yield* lines
        taken()
      } else if (isOver()) break
      else await new Promise<void>((resolve) => (wake = resolve))
    }
    await finished
    if (rest !== '') yield rest
  } finally {
    taken()
    if (!isOver()) stop()
  }

  function isOver(): boolean {
    return ended
  }
}

export interface LineSource {
  /** Begins, and settles when there is no more. */
  readonly start: (onPiece: (piece: string) => Promise<void>) => Promise<unknown>
  readonly stop: () => void
}
