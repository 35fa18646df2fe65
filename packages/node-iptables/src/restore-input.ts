/** What a restore reads. */
export type RestoreInput =
  | { readonly text: string }
  /**
   * Lines without their line ends, as they come. A function is asked again when the restore fails, for the error's
   * lines, and must then give the same; of anything else, what was read is kept until the restore ends.
   */
  | { readonly lines: Lines | (() => Lines) }

type Lines = Iterable<string> | AsyncIterable<string>

/** The input in pieces that end with a line's end, each about 64 KiB. */
export interface RestoreSource {
  /** To be read once. */
  readonly pieces: AsyncIterable<string>
  /** What was read of it, again: to be read once it is known that something is wrong with a line. */
  readonly again: () => AsyncIterable<string>
}

/**
 * Lines of other tables than `tables` are empty lines, so that the line numbers in an error are those of the input.
 * Nothing is kept of a text, nor of lines that a function gives.
 */
export function restoreSource(input: RestoreInput, tables: readonly string[] | undefined): RestoreSource {
  if ('text' in input) {
    const { text } = input
    return repeatable(() => (tables === undefined ? asyncOf(slicesOf(text)) : gathered(inputLinesOf(text), tables)))
  }
  const { lines } = input
  if (typeof lines === 'function') return repeatable(() => gathered(lines(), tables))
  const kept: string[] = []
  return { pieces: keeping(gathered(lines, tables), kept), again: () => asyncOf(kept) }
}

const PIECE_LENGTH = 64 * 1024

const repeatable = (pieces: () => AsyncIterable<string>): RestoreSource => ({ pieces: pieces(), again: pieces })

/** Slices share the text's memory. */
function* slicesOf(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at + PIECE_LENGTH - 1)
    if (end < 0) {
      yield text.endsWith('\n') ? text.slice(at) : `${text.slice(at)}\n`
      return
    }
    yield text.slice(at, end + 1)
    at = end + 1
  }
}

function* inputLinesOf(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at)
    yield end < 0 ? text.slice(at) : text.slice(at, end)
    at = end < 0 ? text.length : end + 1
  }
}

async function* gathered(lines: Lines, tables: readonly string[] | undefined): AsyncGenerator<string, void, undefined> {
  const isWanted = tables === undefined ? () => true : wantedLines(new Set(tables))
  let piece = ''
  for await (const line of lines) {
    piece += isWanted(line) ? `${line}\n` : '\n'
    if (piece.length < PIECE_LENGTH) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

function wantedLines(tables: ReadonlySet<string>): (line: string) => boolean {
  let wanted = false
  return (line) => {
    if (line.startsWith('*')) wanted = tables.has(line.slice(1).trim())
    return wanted
  }
}

async function* keeping(pieces: AsyncIterable<string>, into: string[]): AsyncGenerator<string, void, undefined> {
  for await (const piece of pieces) {
    into.push(piece)
    yield piece
  }
}

async function* asyncOf(pieces: Iterable<string>): AsyncGenerator<string, void, undefined> {
  yield* pieces
}

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

interface LineSource {
  /** Begins, and settles when there is no more. */
  readonly start: (onPiece: (piece: string) => Promise<void>) => Promise<unknown>
  readonly stop: () => void
}
