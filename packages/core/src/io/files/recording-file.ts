import type { WatchEvent } from '../../model/watch-event.js'
import { type ParsedEvent, parseWatchEvent } from './parse-watch-event.js'
import { type ByteSource, FileError, type LineBlock, MAX_LINE_BYTES, readLines } from './read-file.js'

/** What stands in a recording, its times not settled yet. */
export type PlacedEvent = ParsedEvent & Place

/** Reads one file of a recording; a batch for each chunk of the file. */
export async function* readRecordingFile(source: ByteSource): AsyncGenerator<readonly PlacedEvent[]> {
  const file = source.name
  for await (const documents of recordingDocuments(readLines(source.bytes))) {
    yield documents.map((document): PlacedEvent => {
      const { line } = document
      if ('cause' in document) return { type: 'bad', cause: document.cause, file, line }
      return { ...parseWatchEvent(document.text), file, line }
    })
  }
}

/** Where something stands: messages say `FILE:LINE`. */
export interface Place {
  readonly file: string
  readonly line: number
}

interface Timed {
  /** Milliseconds since 1970 UTC: its own time, or that of the event before it. */
  readonly observedAt: number
}

/** What a recording holds, in the order in which it happened. */
export type RecordingItem =
  | ({ readonly type: 'event'; readonly event: WatchEvent } & Place)
  | ({ readonly type: 'passed-over'; readonly kind: string } & Place & Timed)
  | ({ readonly type: 'watch-error'; readonly message: string; readonly code?: number } & Place & Timed)
  | ({ readonly type: 'bad-line'; readonly cause: string } & Place & Timed)

export const timeOfItem = (item: RecordingItem): number =>
  item.type === 'event' ? item.event.observedAt : item.observedAt

/** One JSON document of a recording and the line on which it begins; or why there is none. */
type RecordingDocument =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly cause: string }

/** A document that is spread over lines is given up when it is larger than this. */
const MAX_DOCUMENT_CHARACTERS = 64 * 1024 * 1024

/**
 * Cuts lines into documents: a line each, or, as pretty-printers write them, from a line `{` to a line `}`. Empty lines are
 * left out. When reading fails half-way, the last document says so.
 */
async function* recordingDocuments(blocks: AsyncIterable<LineBlock>): AsyncGenerator<readonly RecordingDocument[]> {
  let open: OpenDocument | undefined
  let line = 0
  try {
    for await (const block of blocks) {
      const documents: RecordingDocument[] = []
      if (block.type === 'too-long') {
        line = block.line
        documents.push({ line, cause: `the line is longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB` })
      } else {
        line = block.firstLine - 1
        for (const text of block.lines) {
          line += 1
          open =
            open === undefined ? takeLine({ line, text }, documents) : takeInnerLine(open, { line, text }, documents)
        }
      }
      if (documents.length > 0) yield documents
    }
  } catch (error) {
    // Nothing of it was read, and nothing will be.
    if (!(error instanceof FileError) || error.code === 'NOT_TEXT') throw error
    yield [{ line: line + 1, cause: error.message }]
  }
  if (open !== undefined) yield [{ line: open.line, cause: 'the document does not end: its last line should be }' }]
}

interface OpenDocument {
  readonly line: number
  readonly lines: string[]
  characters: number
}

interface Line {
  readonly line: number
  readonly text: string
}

const OPENING_BRACE = 123

/** A line outside a document that is spread over lines; answers the document that it begins. */
function takeLine({ line, text }: Line, documents: RecordingDocument[]): OpenDocument | undefined {
  if (text.charCodeAt(0) === OPENING_BRACE && text.length > 2) {
    documents.push({ line, text })
    return undefined
  }
  const trimmed = text.trim()
  if (trimmed === '{') return { line, lines: [text], characters: text.length }
  if (trimmed !== '') documents.push({ line, text })
  return undefined
}

function takeInnerLine(
  open: OpenDocument,
  { line, text }: Line,
  documents: RecordingDocument[],
): OpenDocument | undefined {
  // Inner lines are indented, so that one which is not begins another document: the open one was cut off.
  if (text.charCodeAt(0) === OPENING_BRACE) {
    documents.push({ line: open.line, cause: 'the document does not end: its last line should be }' })
    return takeLine({ line, text }, documents)
  }
  open.lines.push(text)
  open.characters += text.length
  if (text.trimEnd() === '}') {
    documents.push({ line: open.line, text: open.lines.join('\n') })
    return undefined
  }
  if (open.characters <= MAX_DOCUMENT_CHARACTERS) return open
  documents.push({ line: open.line, cause: `the document is longer than ${MAX_DOCUMENT_CHARACTERS / 1024 / 1024} MiB` })
  return undefined
}
