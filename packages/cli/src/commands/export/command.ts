import {
  type Author,
  type BookmarkRecord,
  type ChangeLogReader,
  createRedactor,
  escapeControls,
  type KubernetesObject,
  type ObjectKind,
  type ObjectRecord,
  type Redactor,
  seq,
  type Seq,
} from '@pointsman/core'
import { openLinesFile } from '@pointsman/core/io'
import type { Command } from 'commander'
import { createHmac, randomBytes } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { type InputOptions, openLog, withLogOption } from '../../input/open-input.js'
import { POINT_FORMS, resolveRange } from '../../input/point-in-time.js'
import { formatCount, shellWord, withExamples } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { createProgress } from '../../output/progress.js'
import { authorItem } from '../log/json.js'

interface ExportOptions extends Pick<InputOptions, 'log'> {
  readonly from?: string
  readonly until?: string
  readonly output?: string
  readonly redact?: true
  readonly redactKey?: string
}

export function registerExport(program: Command, context: Context): void {
  const command = program
    .command('export')
    .summary('export a recording from a change log, optionally redacted')
    .description(
      'Writes the watch events of a change log as JSON lines for `pointsman import`, with the same state and authors.\n' +
        'With --from, the objects that exist at that point come first. Does not export syncs and notices.',
    )
    .option('--from <point>', `start at this point in time: ${POINT_FORMS}`)
    .option('--until <point>', 'end at this point in time (inclusive)')
    .option('--output <file>', 'write to this file instead of standard output (gzipped if the name ends in .gz)')
    .option('--redact', 'replace names, labels and addresses by pseudonyms that keep proxy decisions the same')
    .option(
      '--redact-key <text>',
      'derive pseudonyms from this secret, so that exports with the same key match (default: random)',
    )
    .action(async (options: ExportOptions) => exportLog(options, context))
  withExamples(withLogOption(command), [
    'pointsman export --log shop.db --output shop.jsonl.gz',
    'pointsman export --log shop.db --from -10m --redact --output for-a-stranger.jsonl.gz',
    'pointsman export --log a.db | pointsman import - --log b.db',
  ])
}

async function exportLog(options: ExportOptions, context: Context): Promise<void> {
  const { output } = options
  const { path, reader } = openLog(options, context)
  try {
    if (output !== undefined) refuseLog(output, path)
    const range = resolveRange({ reader, since: options.from, until: options.until, sinceOption: '--from' })
    const redactor = redactorOf(options)
    const question = { reader, ...range, redactor }
    const counts =
      output === undefined ? await toStandardOutput(question, context) : await toFile(question, output, context)
    if (counts !== undefined) context.stderr.print(summaryOf(counts, options))
  } finally {
    reader.close()
  }
}

interface Counts {
  readonly events: number
  /** Objects from before the first record. */
  readonly floor: number
}

/** Undefined when it was interrupted. */
async function toStandardOutput(question: RecordingQuestion, context: Context): Promise<Counts | undefined> {
  return writeLines(question, { write: (lines) => void context.stdout.print(lines), context })
}

async function toFile(question: RecordingQuestion, output: string, context: Context): Promise<Counts | undefined> {
  const file = openLinesFile(output, { unique: randomBytes(6).toString('hex') })
  let isDone = false
  try {
    const counts = await writeLines(question, { write: (lines) => file.write(`${lines.join('\n')}\n`), context })
    if (counts === undefined) return undefined
    file.finish()
    isDone = true
    return counts
  } finally {
    if (!isDone) file.abandon()
  }
}

interface Sink {
  readonly write: (lines: readonly string[]) => void
  readonly context: Context
}

/** Lines written at once; between two portions Ctrl-C and a closed pipe are noticed. */
const PORTION = 500

async function writeLines(question: RecordingQuestion, { write, context }: Sink): Promise<Counts | undefined> {
  const progress = createProgress(context)
  let counts: Counts = { events: 0, floor: 0 }
  let portion: string[] = []
  try {
    for (const { text, isFloor } of recordingLines(question)) {
      counts = { events: counts.events + Number(!isFloor), floor: counts.floor + Number(isFloor) }
      portion.push(text)
      if (portion.length < PORTION) continue
      write(portion)
      portion = []
      progress.show(() => `exporting ${formatCount(counts.events)} events`)
      await setImmediate()
      if (!context.interrupted.aborted) continue
      context.stderr.print('interrupted: run it again for a complete export')
      context.finish(130)
      return undefined
    }
  } finally {
    progress.end()
  }
  if (portion.length > 0) write(portion)
  return counts
}

function redactorOf({ redact, redactKey }: ExportOptions): RecordingQuestion['redactor'] {
  if (redact !== true && redactKey === undefined) return undefined
  if (redactKey === '')
    throw new CliError('USAGE', '--redact-key is empty: give a secret, or --redact alone for a random one')
  const key = redactKey ?? randomBytes(32)
  return createRedactor((text) => createHmac('sha256', key).update(text).digest())
}

function refuseLog(output: string, log: string): void {
  const isLog = existsSync(output) && existsSync(log) && realpathSync(output) === realpathSync(log)
  if (isLog) throw new CliError('USAGE', `--output ${output} is the log itself: give another file`)
}

function summaryOf({ events, floor }: Counts, { output, redact, redactKey }: ExportOptions): string {
  const to = output === undefined ? '' : ` to ${shellWord(output)}`
  const before = floor === 0 ? '' : `, preceded by ${formatCount(floor)} objects that existed before`
  if (redact !== true && redactKey === undefined) return `exported ${formatCount(events)} events${before}${to}`
  const key = redactKey === undefined ? 'a random key: pseudonyms differ in each export' : 'the given key'
  return `exported ${formatCount(events)} events${before}${to}, names and addresses redacted with ${key}`
}

interface RecordingQuestion {
  readonly reader: ChangeLogReader
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Absent: names and addresses as they are. */
  readonly redactor?: Redactor | undefined
}

interface RecordingLine {
  /** One watch event as JSON, without the line feed. */
  readonly text: string
  /** Whether it stands for an object that was there before the first record. */
  readonly isFloor: boolean
}

/**
 * The watch events of a span as `pointsman import` reads them. Objects that were there before it come first, as ADDED at
 * the time of the record before, and each kind that had been received whole gets its bookmark: what is exported can be
 * understood by itself.
 */
function* recordingLines(question: RecordingQuestion): Generator<RecordingLine> {
  const { reader, fromSeq, toSeq, redactor } = question
  if (fromSeq > 1)
    for (const event of floorEvents(reader, fromSeq)) yield { text: lineOf(event, redactor), isFloor: true }
  for (const record of reader.records({ fromSeq, toSeq, types: ['object', 'bookmark'] })) {
    if (record.type === 'object') yield { text: lineOf(eventOf(record), redactor), isFloor: false }
    if (record.type === 'bookmark') yield { text: lineOf(bookmarkOf(record, redactor), redactor), isFloor: false }
  }
}

interface RecordedEvent {
  readonly observedAt: number
  readonly type: string
  readonly object: KubernetesObject | object
  readonly author?: Author
  readonly estimated?: true
}

function eventOf({ observedAt, event, object, author, estimated }: ObjectRecord): RecordedEvent {
  return { observedAt, type: event, object, ...(author && { author }), ...(estimated && { estimated }) }
}

function bookmarkOf(record: BookmarkRecord, redactor?: Redactor): RecordedEvent {
  const { observedAt, kind, initialEventsEnd, estimated } = record
  const resourceVersion = redactor?.resourceVersion(record.resourceVersion) ?? record.resourceVersion
  const annotations = initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
  const object = { kind, metadata: { resourceVersion, ...annotations } }
  return { observedAt, type: 'BOOKMARK', object, ...(estimated && { estimated }) }
}

function* floorEvents(reader: ChangeLogReader, fromSeq: Seq): Generator<RecordedEvent> {
  const floor = seq(fromSeq - 1)
  const observedAt = reader.timeOf(floor) ?? reader.timeOf(fromSeq) ?? 0
  const { objects, received } = reader.objectsAt(floor)
  // Nodes first: a replay then has the node before its endpoints.
  const sorted = [...objects].sort((a, b) => rankOf(a) - rankOf(b) || (keyOf(a) < keyOf(b) ? -1 : 1))
  for (const object of sorted) yield { observedAt, type: 'ADDED', object }
  for (const kind of [...received].sort()) {
    const resourceVersion = newestVersion(objects.filter((object) => object.kind === kind))
    yield bookmarkOf({ type: 'bookmark', seq: floor, observedAt, kind, resourceVersion, initialEventsEnd: true })
  }
}

const RANKS: { readonly [kind in ObjectKind]: number } = {
  Node: 0,
  ServiceCIDR: 0,
  Service: 1,
  EndpointSlice: 2,
}
const rankOf = ({ kind }: KubernetesObject): number => RANKS[kind]
const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`

function newestVersion(objects: readonly KubernetesObject[]): string {
  const versions = objects
    .map(({ metadata }) => metadata['resourceVersion'])
    .filter((version) => typeof version === 'string')
  return String(versions.reduce((newest, version) => Math.max(newest, Number(version) || 0), 0))
}

function lineOf(
  { observedAt, type, object, author, estimated }: RecordedEvent,
  redactor: Redactor | undefined,
): string {
  const isObject = 'metadata' in object && type !== 'BOOKMARK'
  const line = JSON.stringify({
    observedAt: formatTime(observedAt),
    type,
    object: isObject && redactor ? redactor.object(object) : object,
    ...(author && { author: authorItem(redactor ? redactor.author(author) : author) }),
    ...(estimated && { estimated }),
  })
  // A file may end up on a terminal too.
  return escapeControls(line)
}
