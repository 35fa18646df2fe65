/** What a restore reads: text, or lines without their line ends, as they come. */
export type RestoreInput = { readonly text: string } | { readonly lines: Iterable<string> | AsyncIterable<string> }

/**
 * The input in pieces that end with a line's end, each about 64 KiB; a text is one piece. Lines of other tables than
 * `tables` are empty lines, so that the line numbers in an error are those of the input.
 */
export async function* restorePieces(
  input: RestoreInput,
  tables: readonly string[] | undefined,
): AsyncGenerator<string, void, undefined> {
  if ('text' in input && tables === undefined) {
    yield input.text.endsWith('\n') || input.text === '' ? input.text : `${input.text}\n`
    return
  }
  const lines = 'text' in input ? input.text.split('\n') : input.lines
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

const PIECE_LENGTH = 64 * 1024

function wantedLines(tables: ReadonlySet<string>): (line: string) => boolean {
  let wanted = false
  return (line) => {
    if (line.startsWith('*')) wanted = tables.has(line.slice(1).trim())
    return wanted
  }
}
