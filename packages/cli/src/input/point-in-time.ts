import { type ChangeLogReader, type LogInfo, NO_SEQ, parseRfc3339, seq, type Seq } from '@pointsman/core'
import { CliError } from '../errors.js'
import { formatTime } from '../output/json.js'

export interface ResolvedPoint {
  /** The last record at or before the point. */
  readonly seq: Seq
  /** When that record was observed; absent in an empty log. */
  readonly time?: number
  /** The time asked for, where the log ends before it. */
  readonly afterEnd?: number
}

interface PointQuestion {
  readonly reader: ChangeLogReader
  /** What was given; absent: the last record. */
  readonly text?: string | undefined
  /** The option it was given to, for the error. */
  readonly option?: string
  /** The point that the last successful sync at or before it had reached, instead. */
  readonly applied?: boolean | undefined
}

/**
 * Looks a point up: the last record at or before it. A time after the last record is the last record. CliError USAGE, with
 * the range of the log, for nonsense, for a seq outside and for a time before the first record; NOT_FOUND where `applied`
 * finds no sync.
 */
export function resolvePoint({ reader, text, option = '--at', applied = false }: PointQuestion): ResolvedPoint {
  const info = reader.info()
  const asked = text === undefined ? { seq: info.lastSeq } : lookUp({ reader, text, option, info })
  const position = applied ? appliedSeq(reader, asked.seq) : asked.seq
  const { time: wanted } = asked
  const isAfterEnd = wanted !== undefined && info.lastAt !== undefined && wanted > info.lastAt
  return { ...pointAt(reader, position), ...(isAfterEnd && { afterEnd: wanted }) }
}

/** The point of a record, or the beginning. */
export function pointAt(reader: ChangeLogReader, position: Seq): ResolvedPoint {
  const time = reader.timeOf(position)
  return { seq: position, ...(time !== undefined && { time }) }
}

/** Bounds for `--since` and `--until`, both inclusive: records at or after the one, at or before the other. */
export function resolveRange({
  reader,
  since,
  until,
  sinceOption = '--since',
}: {
  readonly reader: ChangeLogReader
  readonly since: string | undefined
  readonly until: string | undefined
  /** `--from`, where it is called so. */
  readonly sinceOption?: string
}): { readonly fromSeq: Seq; readonly toSeq: Seq } {
  const info = reader.info()
  const toSeq = resolvePoint({ reader, text: until, option: '--until' }).seq
  if (since === undefined) return { fromSeq: info.firstSeq, toSeq }
  const lookup = { reader, text: since, option: sinceOption, info }
  const point = pointIn(lookup)
  const time = timeOfPoint(point, info)
  // Everything since a time before the log is everything.
  const fromSeq = time === undefined ? seqOfPoint(point, lookup) : firstSince(reader, time, info)
  if (fromSeq > toSeq && until !== undefined)
    throw new CliError('USAGE', `${sinceOption} ${since} is after --until ${until}`)
  return { fromSeq, toSeq }
}

/** `seq 1 to 128, 2026-01-31T14:00:00.000Z to 2026-01-31T14:03:20.000Z`. */
function describeRange({ firstSeq, lastSeq, firstAt, lastAt }: LogInfo): string {
  if (firstAt === undefined || lastAt === undefined) return 'no records'
  return `seq ${firstSeq} to ${lastSeq}, ${formatTime(firstAt)} to ${formatTime(lastAt)}`
}

interface Lookup {
  readonly reader: ChangeLogReader
  readonly text: string
  readonly option: string
  readonly info: LogInfo
}

/** What the text says. CliError USAGE for what is no point. */
function pointIn({ text, option, info }: Lookup): Point {
  const point = parsePoint(text)
  if (point !== undefined) return point
  throw new CliError(
    'USAGE',
    `${option} ${JSON.stringify(text)} is not a point in time: give ${POINT_FORMS}; the log has ${describeRange(info)}`,
  )
}

/** The last record at or before the point, and the time of the point where it is one. */
function lookUp(lookup: Lookup): { readonly seq: Seq; readonly time?: number } {
  const point = pointIn(lookup)
  const time = timeOfPoint(point, lookup.info)
  return { seq: seqOfPoint(point, lookup), ...(time !== undefined && { time }) }
}

function seqOfPoint(point: Point, { reader, text, option, info }: Lookup): Seq {
  const time = timeOfPoint(point, info)
  const found = point.type === 'seq' ? seq(point.seq) : time === undefined ? NO_SEQ : reader.seqAt(time)
  // Of a pruned log the objects at its floor are known as well.
  const floor = info.pruned ? info.firstSeq - 1 : info.firstSeq
  const isOutside = found < floor || found > info.lastSeq || found === NO_SEQ
  if (isOutside) throw new CliError('USAGE', `${option} ${text} is outside the log, which has ${describeRange(info)}`)
  return found
}

/** Milliseconds since 1970 UTC of a point that is a time; undefined for a seq, and in an empty log. */
function timeOfPoint(point: Point, { lastAt }: LogInfo): number | undefined {
  if (point.type === 'seq') return undefined
  if (point.type === 'time') return point.time
  if (lastAt === undefined) return undefined
  return point.type === 'back' ? lastAt - point.by : lastAt - (lastAt % 86_400_000) + point.sinceMidnight
}

function firstSince(reader: ChangeLogReader, time: number, info: LogInfo): Seq {
  const before = reader.seqAt(time - 1)
  return seq(Math.max(before + 1, info.firstSeq))
}

function appliedSeq(reader: ChangeLogReader, position: Seq): Seq {
  const sync = reader.appliedAt(position)
  if (sync !== undefined) return sync.toSeq
  throw new CliError(
    'NOT_FOUND',
    `no sync succeeded before seq ${position}: omit --applied, or record syncs with \`pointsman replay --record\``,
  )
}

/** A point that a person wrote, before it is looked up in a log. */
type Point =
  | { readonly type: 'seq'; readonly seq: number }
  /** Milliseconds since 1970 UTC. */
  | { readonly type: 'time'; readonly time: number }
  /** Milliseconds since midnight UTC on the day of the last record. */
  | { readonly type: 'clock'; readonly sinceMidnight: number }
  /** Milliseconds back from the last record. */
  | { readonly type: 'back'; readonly by: number }

/** What a point can look like, for error messages and help texts. */
export const POINT_FORMS =
  'a seq (118), a time (2026-01-31T14:03:00Z, 14:03, 14:03:20), or an offset from the last record (-5m, -1h30m)'

/** Reads a point in time: the grammar of `POINT_FORMS`. Undefined for everything else. */
export function parsePoint(text: string): Point | undefined {
  if (/^\d{1,15}$/.test(text)) return { type: 'seq', seq: Number(text) }
  const time = parseRfc3339(text)
  if (time !== undefined) return { type: 'time', time }
  return parseClock(text) ?? parseBack(text)
}

function parseClock(text: string): Point | undefined {
  const match = /^(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,3})?))?$/.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds] = [match[1], match[2], match[3]].map((part) => Number(part ?? 0))
  if (
    hours === undefined ||
    minutes === undefined ||
    seconds === undefined ||
    hours > 23 ||
    minutes > 59 ||
    seconds >= 60
  )
    return undefined
  return { type: 'clock', sinceMidnight: Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000) }
}

function parseBack(text: string): Point | undefined {
  const match = /^-(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text)
  if (match === null) return undefined
  const by = UNITS_MS.reduce((sum, unit, index) => sum + unit * Number(match[index + 1] ?? 0), 0)
  return { type: 'back', by }
}

const UNITS_MS = [86_400_000, 3_600_000, 60_000, 1000, 1]

/** Records looked through at a time: the lists are at the beginning of a log, and a log may be long. */
const SPAN = 20_000

/**
 * The record with which the first lists of Services and slices were complete: before it a node has no rules, and what comes is
 * nobody's doing. The one before the first record where the log's beginning was pruned, and 0 where it tells of no lists.
 */
export function seqOfLists(reader: ChangeLogReader, to: Seq): Seq {
  const { firstSeq, pruned } = reader.info()
  if (pruned) return seq(firstSeq - 1)
  const missing = new Set<string>(['Service', 'EndpointSlice'])
  for (let start: number = firstSeq; start > 0 && start <= to; start += SPAN) {
    const span = { fromSeq: seq(start), toSeq: seq(Math.min(to, start + SPAN - 1)) }
    for (const record of reader.records({ types: ['bookmark'], ...span })) {
      if (record.type !== 'bookmark' || !record.initialEventsEnd) continue
      missing.delete(record.kind)
      if (missing.size === 0) return record.seq
    }
  }
  return NO_SEQ
}
