import { FileError } from './file-error.js'
import { type LineBlock, MAX_LINE_BYTES } from './read-lines.js'

/** One JSON document of a recording and the line on which it begins; or why there is none. */
export type RecordingDocument =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly cause: string }

/** A document that is spread over lines is given up when it is larger than this. */
const MAX_DOCUMENT_CHARACTERS = 64 * 1024 * 1024

/**
 * Cuts lines into documents: a line each, or, as pretty-printers write them, from a line `{` to a line `}`. Empty lines are
 * left out. When reading fails half-way, the last document says so.
 */
export async function* recordingDocuments(
  blocks: AsyncIterable<LineBlock>,
): AsyncGenerator<readonly RecordingDocument[]> {
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
