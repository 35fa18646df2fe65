import type { LogInfo } from '@pointsman/core'
import type { Command } from 'commander'
import type { Context } from '../../context.js'
import { type InputOptions, openLog, withLogOption } from '../../input/open-input.js'
import type { Style } from '../../output/terminal.js'
import { formatCount, formatDuration, withExamples } from '../../output/format-text.js'
import {
  formatTime,
  formatTimeIfKnown,
  outputOption,
  parseFormat,
  pointJson,
  takenOver,
  writeDocument,
} from '../../output/json.js'
import type { LogInfoJson } from './schema.js'

interface LogInfoOptions extends Pick<InputOptions, 'log'> {
  readonly output?: string
}

/** `pointsman log info`, below `log`. */
export function registerLogInfo(log: Command, context: Context): void {
  const command = log
    .command('info')
    .summary('summarize a log')
    .description('Summarizes a change log: its cluster, time range, records, and the last applied seq.')
    .addOption(outputOption(['text', 'json']))
    .action((_options: LogInfoOptions, info: Command) => showLogInfo(info.optsWithGlobals<LogInfoOptions>(), context))
  withExamples(withLogOption(command), ['pointsman log info --log shop.db', 'pointsman log info --log shop.db -o json'])
}

function showLogInfo(options: LogInfoOptions, context: Context): void {
  const format = parseFormat(options.output, ['text', 'json'])
  const { path, reader } = openLog(options, context)
  try {
    const info = reader.info()
    if (format === 'text') {
      context.stdout.print(logInfoText({ path, info }, context.style))
      return
    }
    writeDocument(context, logInfoDocument({ path, info }))
  } finally {
    reader.close()
  }
}

/** What a log is and holds, a line each, aligned. */
function logInfoText(
  { path, info }: { readonly path: string; readonly info: LogInfo },
  style: Style,
): readonly string[] {
  const rows = [...identity(path, info), ...contents(info), ...syncs(info)]
  const width = Math.max(...rows.map(([title]) => title.length))
  return rows.map(([title, text]) => `${style.dim(title.padEnd(width))}  ${text}`)
}

type Row = readonly [title: string, text: string]

function identity(path: string, { schemaVersion, clusterId, nodeName, bootId, bytes }: LogInfo): readonly Row[] {
  return [
    ['log', path],
    ['format', `version ${schemaVersion}, ${formatCount(bytes)} bytes`],
    ['cluster', clusterId ?? 'not known: the Service default/kubernetes was not seen'],
    ...optional('node', nodeName),
    ...optional('boot', bootId),
  ]
}

function contents(info: LogInfo): readonly Row[] {
  const { firstSeq, lastSeq, firstAt, lastAt, counts, kinds, snapshots, pruned } = info
  if (firstAt === undefined || lastAt === undefined) return [['records', 'none yet']]
  const others = (
    [
      ['bookmark', counts.bookmark],
      ['sync', counts.sync],
      ['config', counts.config],
      ['notice', counts.notice],
    ] as const
  )
    .filter(([, count]) => count > 0)
    .map(([type, count]) => `${formatCount(count)} ${type}${count === 1 ? '' : 's'}`)
  return [
    ['records', `seq ${firstSeq} to ${lastSeq}${pruned ? ', earlier ones were pruned' : ''}`],
    ['time', `${formatTime(firstAt)} to ${formatTime(lastAt)} (${formatDuration(lastAt - firstAt)})`],
    ['objects', `${formatCount(counts.object)} changes: ${kindCounts(kinds)}`],
    ...optional('others', others.length === 0 ? undefined : others.join(', ')),
    ['snapshots', formatCount(snapshots)],
  ]
}

function kindCounts(kinds: LogInfo['kinds']): string {
  // Few logs have ServiceCIDRs: those of one rule system need none.
  return Object.entries(kinds)
    .filter(([kind, count]) => kind !== 'ServiceCIDR' || count > 0)
    .map(([kind, count]) => `${formatCount(count)} of ${kind}s`)
    .join(', ')
}

function syncs({ applied }: LogInfo): readonly Row[] {
  if (applied.length === 0) return [['applied', 'no sync succeeded']]
  return applied.map(({ backend, seq, at }) => ['applied', `${backend}: seq ${seq} at ${formatTime(at)}`])
}

const optional = (title: string, text: string | undefined): readonly Row[] =>
  text === undefined ? [] : [[title, text]]

/** The LogInfo document of `docs/json.md`. */
function logInfoDocument({ path, info }: { readonly path: string; readonly info: LogInfo }): LogInfoJson {
  const { firstAt, lastAt, applied, ...rest } = info
  return {
    kind: 'LogInfo',
    at: pointJson({ seq: info.lastSeq, time: lastAt }),
    log: path,
    ...takenOver<Partial<LogInfoJson>>()(rest),
    firstAt: formatTimeIfKnown(firstAt),
    lastAt: formatTimeIfKnown(lastAt),
    applied: applied.map(({ backend, seq, at }) => ({ backend, seq, at: formatTime(at) })),
  }
}
