import { openChangeLogWriter, readRecording, type Recording } from '@pointsman/core/io'
import type { Command } from 'commander'
import type { Context } from '../../context.js'
import { byteStream, logPath, warnOfOthers, withLogOption } from '../../input/open-input.js'
import { formatCount, formatDuration, shellWord, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument } from '../../output/json.js'
import { createProgress } from '../../output/progress.js'
import { importRecording } from './import-recording.js'
import { importDocument, type ImportReport, importText, problemLines, reportOf } from './report.js'

interface ImportOptions {
  readonly log?: string
  readonly output?: string
}

export function registerImport(program: Command, context: Context): void {
  const command = program
    .command('import <files...>')
    .summary('import recordings of watch events into a change log')
    .description(
      'Imports watch events into a change log and creates the log if needed. Each FILE holds one {"observedAt","type","object"} per line, ' +
        'or the output of kubectl with --watch --output-watch-events -o json; may be gzipped; - is standard input. Several FILES are merged into one recording. ' +
        'Skips and counts events that are already in the log: to finish an interrupted import, run it again.',
    )
    .addOption(outputOption(['text', 'json']))
    .action(async (files: readonly string[], options: ImportOptions) => importFiles(files, options, context))
  withExamples(withLogOption(command), [
    'pointsman import watch.jsonl.gz --log shop.db',
    'kubectl get services -A --watch --output-watch-events --show-managed-fields -o json > services.json',
    'pointsman import services.json slices.json nodes.json --log shop.db',
  ])
}

async function importFiles(files: readonly string[], options: ImportOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const path = logPath(options, context)
  // Before the log is made: a file that is not there must not leave an empty one.
  const recording = await readRecording(files, byteStream(context.stdin))
  warnOfOthers(path, context)
  const log = openChangeLogWriter(path, { durability: 'full' })
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
    report = reportOf({ tally, path, reader: log })
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
