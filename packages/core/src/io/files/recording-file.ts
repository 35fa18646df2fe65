import type { ObjectEvent, WatchEvent } from '../../model/watch-event.js'
import type { AuditedRequest } from './parse-audit-event.js'
import { type ParsedEvent, parseRecorded, type RecordingOptions } from './parse-watch-event.js'
import { foreignTextHint } from './foreign-text.js'
import { type ByteSource, FileError, type LineBlock, MAX_LINE_BYTES, readLines } from './read-file.js'

/** What stands in a recording, its times not settled yet. */
export type PlacedEvent = ParsedEvent & Place

/** A file that has more lines that are no events than this, and than others, is no recording: each such line becomes a notice. */
const MOST_BAD_LINES = 10_000

/** Reads one file of a recording; a batch for each chunk of the file. */
export async function* readRecordingFile(
  source: ByteSource,
  options: RecordingOptions = {},
): AsyncGenerator<readonly PlacedEvent[]> {
  const file = source.name
  let bad = 0
  let good = 0
  for await (const documents of recordingDocuments(readLines(source.bytes))) {
    const placed: PlacedEvent[] = []
    const foreign = bad + good === 0 ? foreignTextHint(beginningOf(documents)) : undefined
    if (foreign !== undefined) {
      yield [{ type: 'bad', cause: `${foreign}; the file is not read`, file, line: documents[0]?.line ?? 1 }]
      return
    }
    for (const document of documents) {
      const { line } = document
      const events: readonly ParsedEvent[] =
        'cause' in document ? [{ type: 'bad', cause: document.cause }] : parseRecorded(document.text, options)
      if (events.some(({ type }) => type === 'bad')) bad += 1
      else good += 1
      if (bad > MOST_BAD_LINES && bad > good) {
        const cause = `more than ${MOST_BAD_LINES} lines, and most, are no watch events: the rest of the file is not read`
        yield [...placed, { type: 'bad', cause, file, line }]
        return
      }
      for (const parsed of events) placed.push({ ...parsed, file, line })
    }
    yield placed
  }
}

/** The first lines of a text in which nothing stands that could be a document. */
function beginningOf(documents: readonly RecordingDocument[]): string {
  const texts = documents.map((document) => ('cause' in document ? NO_TEXT : document.text))
  return texts.some((text) => /^\s*\{/.test(text)) ? NO_TEXT : texts.slice(0, MOST_LOOKED_AT).join('\n')
}

/** Of no known kind. */
const NO_TEXT = '{}'
const MOST_LOOKED_AT = 100

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
  | EventItem
  /** A change of which an API audit log holds no more than who made it, and when. */
  | ({ readonly type: 'gap'; readonly cause: string; readonly request: AuditedRequest } & Place & Timed)
  /** The store of the API servers is another from here on. */
  | ({ readonly type: 'reset'; readonly cause: string } & Place & Timed)
  | ({ readonly type: 'passed-over'; readonly kind: string } & Place & Timed)
  | ({ readonly type: 'watch-error'; readonly message: string; readonly code?: number } & Place & Timed)
  | ({ readonly type: 'bad-line'; readonly cause: string } & Place & Timed)

export type EventItem = {
  readonly type: 'event'
  readonly event: WatchEvent
  /** An API audit log holds its request. */
  readonly isAudited?: true
} & Place

/** A request of an API audit log, before it is known what came of it. */
export type RequestItem = {
  readonly type: 'request'
  readonly request: AuditedRequest
  readonly event?: ObjectEvent
} & Place &
  Timed

/** What several files hold together. */
export type MergedItem = RecordingItem | RequestItem

export const timeOfItem = (item: MergedItem): number =>
  item.type === 'event' ? item.event.observedAt : item.observedAt

/** One JSON document of a recording and the line on which it begins; or why there is none. */
type RecordingDocument =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly cause: string }

/** A document that is spread over lines is given up when it is larger than this. */
const MAX_DOCUMENT_CHARACTERS = 64 * 1024 * 1024
/** Each line is kept by itself until its document ends. Those of an EndpointSlice of 1000 endpoints are some 30,000. */
const MAX_DOCUMENT_LINES = 1_000_000

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
          if (text === '' && open === undefined) continue
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
  if (open !== undefined) yield [{ line: open.line, cause: 'incomplete document: its last line must be }' }]
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
    documents.push({ line: open.line, cause: 'incomplete document: its last line must be }' })
    return takeLine({ line, text }, documents)
  }
  open.lines.push(text)
  open.characters += text.length
  if (text.trimEnd() === '}') {
    documents.push({ line: open.line, text: open.lines.join('\n') })
    return undefined
  }
  if (open.characters <= MAX_DOCUMENT_CHARACTERS && open.lines.length <= MAX_DOCUMENT_LINES) return open
  const limit =
    open.lines.length > MAX_DOCUMENT_LINES
      ? `${MAX_DOCUMENT_LINES} lines`
      : `${MAX_DOCUMENT_CHARACTERS / 1024 / 1024} MiB`
  documents.push({ line: open.line, cause: `the document is longer than ${limit}` })
  return undefined
}
