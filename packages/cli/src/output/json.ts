import type { Json } from '@pointsman/core'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import type { ResolvedPoint } from '../input/point-in-time.js'

export const FORMATS = ['text', 'wide', 'json', 'jsonl'] as const
export type Format = (typeof FORMATS)[number]

/** The head of every document that `-o json` prints; `docs/json.md` gives each kind. */
export interface Document {
  readonly kind: string
  /** The point in time that the answer is for; absent without a log. */
  readonly at?: { readonly seq: number; readonly time?: string }
  readonly [field: string]: unknown
}

/** The value of `-o`; `allowed` are the formats that the command has. */
export function parseFormat(text: string | undefined, allowed: readonly Format[] = FORMATS): Format {
  const found = allowed.find((format) => format === (text ?? 'text'))
  if (found === undefined) throw new CliError('USAGE', `-o ${text ?? ''}: give one of ${allowed.join(', ')}`)
  return found
}

/** Prints one document: two-space indented on a terminal and in a pipe alike, so that it can be compared. */
export function writeDocument(context: Context, document: Document): void {
  context.stdout.print(linesOfDocument(document))
}

/** The lines of the same. */
export const linesOfDocument = (document: Document): readonly string[] =>
  jsonText({ apiVersion: 'pointsman/v1', ...document })

/** Indented JSON: in strings JSON has no line feeds, so that each is one of its own. */
export const jsonText = (value: object | Json): readonly string[] => JSON.stringify(value, undefined, 2).split('\n')

/** The lines of the same document with items that come one by one and are not all held. */
export function* documentLines(document: Document, items: Iterable<object>): Generator<string, void, undefined> {
  // Without the brace that ends it.
  const head = linesOfDocument(document).slice(0, -1)
  yield* head.slice(0, -1)
  yield `${head.at(-1) ?? ''},`
  let before: string | undefined
  for (const item of items) {
    yield before === undefined ? '  "items": [' : `${before},`
    const lines = jsonText(item).map((line) => `    ${line}`)
    yield* lines.slice(0, -1)
    before = lines.at(-1)
  }
  yield before === undefined ? '  "items": []' : before
  if (before !== undefined) yield '  ]'
  yield '}'
}

/** Items of `-o jsonl`, a line each. */
export function* jsonLines(items: Iterable<object>): Generator<string, void, undefined> {
  for (const item of items) yield JSON.stringify(item)
}

/** Prints an item a line. */
export function writeLine(context: Context, item: unknown): void {
  context.stdout.print(JSON.stringify(item))
}

/** The `at` of a document; nothing without a log. */
export const pointOf = ({ point }: { readonly point?: Pick<ResolvedPoint, 'seq' | 'time'> }): Pick<Document, 'at'> =>
  point === undefined
    ? {}
    : { at: { seq: point.seq, ...(point.time !== undefined && { time: formatTime(point.time) }) } }

/** RFC 3339 in UTC with milliseconds. */
export const formatTime = (time: number): string => new Date(time).toISOString()
