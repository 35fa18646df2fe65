import { existsSync } from 'node:fs'
import type { AppendOutcome, LogEntry } from '@pointsman/core'
import { openChangeLogWriter, readRecording, type Recording, type SqliteChangeLog } from '@pointsman/core/io'
import type { Command } from 'commander'
import type { Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { byteStream, logPath, warnOfOthers, withLogOption } from '../../input/open-input.js'
import { formatCount, formatDuration, shellWord, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument } from '../../output/json.js'
import { createProgress } from '../../output/progress.js'
import { importRecording, type ImportTally } from './import-recording.js'
import { importDocument, type ImportReport, importText, problemLines, reportOf } from './report.js'

interface ImportOptions {
  readonly log?: string
  readonly endpoints?: true
  readonly output?: string
}

export function registerImport(program: Command, context: Context): void {
  const command = program
    .command('import <files...>')
    .summary('import recordings of watch events into a change log')
    .description(
      'Imports watch events into a change log and creates the log if needed. Each FILE holds one {"observedAt","type","object"} per line, ' +
        'the output of kubectl with --watch --output-watch-events -o json, or API audit logs (audit.k8s.io/v1, also as EventList and as cloud providers export them); may be gzipped; - is standard input. Several FILES are merged into one recording. ' +
        'Audit logs of level RequestResponse hold the objects; of a lower level, they name the authors of the watch events that are imported with them. ' +
        'Skips and counts events that are already in the log: to finish an interrupted import, run it again.',
    )
    .option(
      '--endpoints',
      'use Endpoints objects in place of EndpointSlices, as a kube-proxy up to 1.20 may (with --layout classic)',
    )
    .addOption(outputOption(['text', 'json']))
    .action(async (files: readonly string[], options: ImportOptions) => importFiles(files, options, context))
  withExamples(withLogOption(command), [
    'pointsman import watch.jsonl.gz --log shop.db',
    'pointsman import audit-*.log.gz audit.log --log shop.db',
    'kubectl get services -A --watch --output-watch-events --show-managed-fields -o json > services.json',
    'pointsman import services.json slices.json nodes.json --log shop.db',
  ])
}

async function importFiles(files: readonly string[], options: ImportOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const path = logPath(options, context)
  // Before the log is made: a file that is not there must not leave an empty one.
  const recording = await readRecording(files, byteStream(context.stdin), { endpoints: options.endpoints })
  warnOfOthers(path, context)
  const log = logWithEvents(path)
  const progress = createProgress(context)
  const startedAt = context.now()
  let report: ImportReport
  try {
    const tally = await importRecording({
      batches: recording.batches,
      log,
      interrupted: context.interrupted,
      onBatch: ({ events, duplicates }) =>
        progress.show(() =>
          progressLine({ recording, count: events + duplicates, elapsedMs: context.now() - startedAt }),
        ),
    })
    const reader = log.opened()
    if (reader === undefined && tally.isInterrupted) {
      context.stderr.print('interrupted before the first event: nothing was imported')
      return context.finish(130)
    }
    if (reader === undefined) throw noEvents({ tally, files, path })
    report = reportOf({ tally, path, reader })
  } finally {
    progress.end()
    log.close()
  }
  for (const line of problemLines(report.tally))
    context.stderr.print(`${context.errorStyle.yellow('not imported:')} ${line}`)
  if (format === 'json') writeDocument(context, importDocument(report))
  else context.stdout.print(importText(report, context.style))
  if (report.tally.isInterrupted) {
    const again = `pointsman import ${files.map(shellWord).join(' ')} --log ${shellWord(path)}`
    context.stderr.print(`interrupted: the imported events are kept; to finish: ${again}`)
    context.finish(130)
  } else if (report.tally.badLines + report.tally.refused > 0) context.finish(2)
}

interface LogWithEvents extends Pick<SqliteChangeLog, 'appendSync' | 'close'> {
  /** Undefined: there was no log, and no event came. */
  readonly opened: () => SqliteChangeLog | undefined
}

/** Notices that wait for the first event. */
const MOST_WAITING = 20_000

/** The log, which is made with its first event: what holds none must not leave an empty one. One that is there is opened at once. */
function logWithEvents(path: string): LogWithEvents {
  const open = (): SqliteChangeLog => openChangeLogWriter(path, { durability: 'full' })
  let log = existsSync(path) ? open() : undefined
  let waiting: LogEntry[] = []
  return {
    appendSync(entries): readonly AppendOutcome[] {
      if (log === undefined) {
        const isWorthALog = entries.some(({ type }) => type === 'event') || waiting.length > MOST_WAITING
        if (!isWorthALog) {
          waiting = waiting.concat(entries)
          return []
        }
        log = open()
        if (waiting.length > 0) log.appendSync(waiting)
        waiting = []
      }
      return log.appendSync(entries)
    },
    close: () => log?.close(),
    opened: () => log,
  }
}

/** Why there is no log: what the files are, by the first line that is no event. */
function noEvents({
  tally: { problems, passedOver },
  files,
  path,
}: {
  readonly tally: ImportTally
  readonly files: readonly string[]
  readonly path: string
}): CliError {
  const [first] = problems
  const passed = [...passedOver].slice(0, 5).map(([kind, count]) => `${formatCount(count)} ${kind}`)
  const why =
    first !== undefined
      ? `${first.file}:${first.line}: ${first.message}`
      : passed.length > 0
        ? `${files.join(', ')}: nothing but ${passed.join(', ')}`
        : `${files.join(', ')}: no watch events`
  return new CliError('BAD_INPUT', `${why}: nothing to import, and ${path} was not created`)
}

function progressLine({
  recording,
  count,
  elapsedMs,
}: {
  readonly recording: Recording
  readonly count: number
  readonly elapsedMs: number
}): string {
  const done = recording.bytesRead()
  const rate = `${formatCount(count)} events, ${formatCount(Math.round((count * 1000) / Math.max(1, elapsedMs)))}/s`
  const { totalBytes } = recording
  if (totalBytes === undefined || totalBytes === 0 || done === 0) return `importing ${rate}`
  const share = Math.min(1, done / totalBytes)
  return `importing ${Math.floor(share * 100)} %, ${rate}, about ${formatDuration((elapsedMs * (1 - share)) / share)} left`
}
