import type { ByteSource } from './open-bytes.js'
import { parseWatchEvent } from './parse-watch-event.js'
import type { ParsedEvent } from './parse-watch-event.js'
import { readLines } from './read-lines.js'
import { recordingDocuments } from './recording-documents.js'
import type { Place } from './recording-item.js'

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
