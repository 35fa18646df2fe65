import { type ChangeLogReader, type LogRecord, type RecordFilter, seq, type Seq } from '@pointsman/core'
import type { Command } from 'commander'
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { type InputOptions, openLog, withLogOption } from '../../input/open-input.js'
import { POINT_FORMS, resolveRange } from '../../input/point-in-time.js'
import { type Format, outputOption, parseFormat, pointJson, writeDocument, writeLine } from '../../output/json.js'
import { withExamples } from '../../output/format-text.js'
import { history, type HistoryEntry, isBy, parseKinds, parseTypes, serviceFilter, type WantedTypes } from './history.js'
import { registerLogInfo } from './info.js'
import { recordItem } from './json.js'
import type { RecordListJson } from './schema.js'
import { recordText } from './text.js'

interface LogOptions extends Pick<InputOptions, 'log'> {
  readonly kind?: readonly string[]
  readonly type?: readonly string[]
  readonly namespace?: string
  readonly by?: string
  readonly since?: string
  readonly until?: string
  readonly limit?: string
  readonly oneline?: true
  readonly reverse?: true
  readonly patch?: true
  readonly follow?: true
  readonly output?: string
}

export function registerLog(program: Command, context: Context): void {
  const command = program
    .command('log')
    .argument('[service]', 'only records of this Service and its EndpointSlices: NAME or NAMESPACE/NAME')
    .summary('show the records: what changed, when, and by whom')
    .description('Shows the records of a change log, newest first, each with its changes and its author.')
    .option('--kind <kind>', 'only objects of this kind: Service, EndpointSlice, Node (repeatable)', collect)
    .option(
      '--type <type>',
      'only records of this type: object, sync, notice, config, bookmark, ADDED, MODIFIED, DELETED (repeatable; default: all except bookmarks)',
      collect,
    )
    .option('--namespace <namespace>', 'only objects in this namespace')
    .option(
      '--by <author>',
      'only changes by this author: a field manager, a user, the user of a service account (NAMESPACE:NAME), who impersonated it, or the name of a client (kubectl)',
    )
    .option('--since <point>', `start at this point in time: ${POINT_FORMS}`)
    .option('--until <point>', 'end at this point in time (inclusive)')
    .option('-n, --limit <count>', 'show at most this many records')
    .option('--oneline', 'one line per record')
    .option('--reverse', 'oldest first')
    .option('--patch', 'include the merge patch from the previous version')
    .option('-f, --follow', 'show new records as they are written, until Ctrl-C')
    .addOption(outputOption(['text', 'json', 'jsonl']))
    .action(async (service: string | undefined, options: LogOptions) => showLog(service, options, context))
  withExamples(withLogOption(command), [
    'pointsman log --log shop.db -n 20',
    'pointsman log shop/checkout --since -5m --log shop.db',
    'pointsman log --kind Service --type MODIFIED --patch --log shop.db',
    'pointsman log --by kubectl-edit --since -1h --log shop.db',
    'pointsman log info --log shop.db',
  ])
  registerLogInfo(command, context)
}

const collect = (value: string, values: readonly string[] | undefined): readonly string[] => [...(values ?? []), value]

async function showLog(service: string | undefined, options: LogOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json', 'jsonl'])
  const limit = parseLimit(options.limit)
  const isFollowing = options.follow === true
  if (isFollowing && format === 'json')
    throw new CliError('USAGE', '--follow cannot be combined with -o json, which is one document: use -o jsonl')
  if (isFollowing && options.until !== undefined)
    throw new CliError('USAGE', '--follow and --until cannot be combined: give one of them')
  const wanted = parseTypes(options.type ?? [])
  const kinds = parseKinds(options.kind ?? [])
  const { reader } = openLog(options, context)
  try {
    const object = service === undefined ? undefined : serviceFilter({ reader, service, namespace: options.namespace })
    const range = resolveRange({ reader, since: options.since, until: options.until })
    const filter: RecordFilter = {
      ...range,
      ...typesOf(wanted, {
        isAboutObjects: kinds.length > 0 || options.namespace !== undefined || options.by !== undefined,
      }),
      ...(kinds.length === 0 ? {} : { kinds }),
      ...(object === undefined ? {} : { object }),
    }
    const accepts = (record: LogRecord): boolean => isWanted(record, wanted, options)
    const write = writerOf({ format, options, context })
    const withPatch = options.patch === true
    const question = { reader, filter, accepts, write, withPatch, context }
    if (isFollowing) await follow({ ...question, limit, since: options.since })
    else if (format === 'json') writeAll({ ...question, limit, options })
    else
      await writeEach(
        history({ ...question, filter: { ...filter, descending: options.reverse !== true }, limit }),
        question,
      )
  } finally {
    reader.close()
  }
}

function typesOf(
  { types }: WantedTypes,
  { isAboutObjects }: { readonly isAboutObjects: boolean },
): Pick<RecordFilter, 'types'> {
  return { types: isAboutObjects ? types.filter((type) => type === 'object') : types }
}

function isWanted(record: LogRecord, { events }: WantedTypes, { namespace, by }: LogOptions): boolean {
  if (record.type !== 'object') return true
  return (
    (by === undefined || isBy(record, by)) &&
    (events === undefined || events.includes(record.event)) &&
    (namespace === undefined || record.namespace === namespace)
  )
}

interface LogQuestion {
  readonly reader: ChangeLogReader
  readonly filter: RecordFilter
  readonly accepts: (record: LogRecord) => boolean
  readonly write: (entry: HistoryEntry) => void
  readonly withPatch: boolean
  readonly context: Context
}

function writerOf({
  format,
  options,
  context,
}: {
  readonly format: Format
  readonly options: LogOptions
  readonly context: Context
}): LogQuestion['write'] {
  const withPatch = options.patch === true
  if (format === 'jsonl') return (entry) => writeLine(context, recordItem(entry, { withPatch }))
  const look = { style: context.style, isOneline: options.oneline === true, withPatch }
  return (entry) => void context.stdout.print(recordText(entry, look))
}

/** Between so many records a closed pipe and Ctrl-C are noticed. */
const BREATH = 200

async function writeEach(entries: Iterable<HistoryEntry>, { write, context }: LogQuestion): Promise<void> {
  let count = 0
  for (const entry of entries) {
    write(entry)
    if (++count % BREATH !== 0) continue
    await setImmediate()
    if (context.interrupted.aborted) {
      context.finish(130)
      return
    }
  }
}

function writeAll(question: LogQuestion & { readonly limit: number; readonly options: LogOptions }): void {
  const { reader, filter, withPatch, options, context } = question
  const entries = history({ ...question, filter: { ...filter, descending: options.reverse !== true } })
  const time = filter.toSeq === undefined ? undefined : reader.timeOf(filter.toSeq)
  const document: RecordListJson = {
    kind: 'RecordList',
    at: pointJson({ seq: filter.toSeq ?? 0, time }),
    items: [...entries].map((entry) => recordItem(entry, { withPatch })),
  }
  writeDocument(context, document)
}

const POLL_MS = 250
const FOLLOWED_FROM = 10

/** The last records, or those since a point, and then what comes. */
async function follow(
  question: LogQuestion & { readonly limit: number; readonly since: string | undefined },
): Promise<void> {
  const { reader, filter, accepts, limit, since, withPatch, context } = question
  const first = Number.isFinite(limit) ? limit : since === undefined ? FOLLOWED_FROM : Number.POSITIVE_INFINITY
  let last: Seq = filter.toSeq ?? reader.info().lastSeq
  const before = [
    ...history({ reader, filter: { ...filter, descending: true }, accepts, limit: first, withPatch }),
  ].reverse()
  await writeEach(before, question)
  while (!context.interrupted.aborted) {
    const { lastSeq } = reader.info()
    if (lastSeq > last) {
      const fresh = { ...filter, fromSeq: seq(last + 1), toSeq: lastSeq }
      await writeEach(history({ reader, filter: fresh, accepts, limit: Number.POSITIVE_INFINITY, withPatch }), question)
      last = lastSeq
    } else await setTimeout(POLL_MS, undefined, { signal: context.interrupted }).catch(() => undefined)
  }
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new CliError('USAGE', `--limit ${text}: give a number from 1 upwards`)
}
