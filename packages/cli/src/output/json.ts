import { codeOf, type RefusedService, type RuleTool } from '@pointsman/core'
import { Option } from 'commander'
import { setImmediate } from 'node:timers/promises'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import type { ResolvedPoint } from '../input/point-in-time.js'
import type { PointJson, RefusedServicePortJson, ToolJson } from './schema.js'

export const FORMATS = ['text', 'wide', 'json', 'jsonl'] as const
export type Format = (typeof FORMATS)[number]

/** What every document that `-o json` prints has; the `schema.ts` of a command gives the type of each kind. */
interface DocumentHead {
  readonly kind: string
  /** The point in time that the answer is for; undefined without a log. */
  readonly at?: PointJson | undefined
}

/** The value of `-o`; `allowed` are the formats that the command has. */
export function parseFormat(text: string | undefined, allowed: readonly Format[] = FORMATS): Format {
  const found = allowed.find((format) => format === (text ?? 'text'))
  if (found === undefined) throw new CliError('USAGE', `-o ${text ?? ''}: give one of ${allowed.join(', ')}`)
  return found
}

/** Prints one document: two-space indented on a terminal and in a pipe alike, so that it can be compared. */
export function writeDocument(context: Context, document: DocumentHead): void {
  context.stdout.print(linesOfDocument(document))
}

/** The lines of the same. */
export const linesOfDocument = (document: DocumentHead): readonly string[] =>
  jsonText({ apiVersion: 'pointsman/v1', ...document })

/** Indented JSON: in strings JSON has no line feeds, so that each is one of its own. */
export const jsonText = (value: unknown): readonly string[] => JSON.stringify(value, undefined, 2).split('\n')

/** The lines of the same document with items that come one by one and are not all held. */
export function* documentLines<Document extends { readonly items: readonly unknown[] }>(
  document: Omit<Document, 'items'> & DocumentHead,
  items: Iterable<Document['items'][number]>,
): Generator<string, void, undefined> {
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
export function* jsonLines(items: Iterable<unknown>): Generator<string, void, undefined> {
  for (const item of items) yield JSON.stringify(item)
}

/** Prints an item a line. */
export function writeLine(context: Context, item: unknown): void {
  context.stdout.print(JSON.stringify(item))
}

/** The `at` of a document; undefined without a log. */
export const pointOf = ({ point }: { readonly point?: TimedSeq }): PointJson | undefined => point && pointJson(point)

type TimedSeq = Pick<ResolvedPoint, 'seq' | 'time'>

/** `time` is in milliseconds since 1970 UTC. */
export const pointJson = ({ seq, time }: { readonly seq: number; readonly time?: number | undefined }): PointJson => ({
  seq,
  time: formatTimeIfKnown(time),
})

export const formatTimeIfKnown = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : formatTime(time)

/**
 * A value that a document takes over whole, where its type has no field that the schema does not have. In an object literal the
 * compiler looks for such fields itself.
 */
export const takenOver =
  <Json>() =>
  <Value extends Json>(value: Value & NothingBesides<Json, Value>): Value =>
    value

type NothingBesides<Json, Value> = [Exclude<KeyOf<Value>, keyof Json>] extends [never] ? unknown : never

/** The fields of each member of a union. */
type KeyOf<Value> = Value extends unknown ? keyof Value : never

/** The fields that name the program that writes the rules: a dataplane gives those that the schemas name, as tests check. */
export const toolJson = ({ fields }: Pick<RuleTool, 'fields'>): ToolJson => fields

export const refusedItem = ({ owner, error }: RefusedService): RefusedServicePortJson => ({
  servicePort: owner,
  code: codeOf(error),
  message: error.message,
})

/** RFC 3339 in UTC with milliseconds. */
export const formatTime = (time: number): string => new Date(time).toISOString()

/** Characters written at once; between two portions Ctrl-C and a closed pipe are noticed. */
const PORTION = 1 << 16

/**
 * Writes lines, which come without line ends, to standard output in portions, no faster than they are taken. Gives false,
 * with status 130 and a word on standard error, when it was interrupted.
 */
export async function writePieces(lines: Iterable<string>, context: Context): Promise<boolean> {
  for (const portion of portionsOf(lines)) {
    if (context.stdout.print(portion) === false) await drained(context)
    await setImmediate()
    if (!context.interrupted.aborted) continue
    context.stderr.print('interrupted: what was printed is not all')
    context.finish(130)
    return false
  }
  return true
}

/** Lines of about 64 KiB in all at a time. */
export function* portionsOf(lines: Iterable<string>): Generator<readonly string[], void, undefined> {
  let waiting: string[] = []
  let length = 0
  for (const line of lines) {
    waiting.push(line)
    length += line.length + 1
    if (length < PORTION) continue
    yield waiting
    waiting = []
    length = 0
  }
  if (waiting.length > 0) yield waiting
}

const drained = ({ stdout, interrupted }: Context): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      interrupted.removeEventListener('abort', end)
      resolve()
    }
    interrupted.addEventListener('abort', end)
    if (interrupted.aborted) end()
    else stdout.once('drain', end)
  })

/** `-o`, with the formats that a command has; the first is the default. Shells complete them. */
export function outputOption(formats: readonly Format[]): Option {
  return new Option('-o, --output <format>', 'output format').choices(formats).default(formats[0])
}
