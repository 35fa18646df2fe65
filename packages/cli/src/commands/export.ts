import { createHmac, randomBytes } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { createRedactor } from '@pointsman/core'
import { openLinesFile } from '@pointsman/core/io'
import type { Command } from 'commander'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import { recordingLines } from '../export/recording-lines.js'
import type { RecordingQuestion } from '../export/recording-lines.js'
import { shellWord } from '../output/shell-word.js'
import { type InputOptions, openLog, withLogOption } from '../input/open-input.js'
import { POINT_FORMS } from '../input/parse-point.js'
import { resolveRange } from '../input/point-in-time.js'
import { formatCount } from '../output/duration.js'
import { createProgress } from '../output/progress.js'
import { withExamples } from '../output/with-examples.js'

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
    .summary('take a recording out of a change log, with names and addresses redacted if wanted')
    .description(
      'Writes the watch events of a change log as JSON lines that `pointsman import` reads: the same events, state and authors.\n' +
        'With --from, the objects that were there by then come first. Syncs and notices are not exported.',
    )
    .option('--from <point>', `from this point on: ${POINT_FORMS}`)
    .option('--until <point>', 'up to this point')
    .option('--output <file>', 'write this file (compressed where it ends in .gz), not standard output')
    .option('--redact', 'replace names, labels and addresses; what a proxy decides by stays true')
    .option(
      '--redact-key <text>',
      'redact with this secret, so that another export gets the same pseudonyms; default: a random one',
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
      context.stderr.print('interrupted: run it again to export everything')
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
  const before = floor === 0 ? '' : `, after ${formatCount(floor)} lines for what was there before`
  if (redact !== true && redactKey === undefined) return `exported ${formatCount(events)} events${before}${to}`
  const key = redactKey === undefined ? 'a random key: another export will have other pseudonyms' : 'the given key'
  return `exported ${formatCount(events)} events${before}${to}, names and addresses redacted with ${key}`
}
