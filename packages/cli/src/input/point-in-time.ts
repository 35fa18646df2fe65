import { NO_SEQ, seq } from '@pointsman/core'
import type { ChangeLogReader, LogInfo, Seq } from '@pointsman/core'
import { CliError } from '../errors.js'
import { formatTime } from '../output/json.js'
import { parsePoint, POINT_FORMS } from './parse-point.js'

export interface ResolvedPoint {
  /** The last record at or before the point. */
  readonly seq: Seq
  /** When that record was observed; absent in an empty log. */
  readonly time?: number
  /** The time asked for, where the log ends before it. */
  readonly afterEnd?: number
}

export interface PointQuestion {
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
  const asked = text === undefined ? info.lastSeq : seqOfPoint({ reader, text, option, info })
  const position = applied ? appliedSeq(reader, asked) : asked
  const time = reader.timeOf(position)
  const wanted = text === undefined ? undefined : timeOfPoint(text, info)
  const isAfterEnd = wanted !== undefined && info.lastAt !== undefined && wanted > info.lastAt
  return { seq: position, ...(time !== undefined && { time }), ...(isAfterEnd && { afterEnd: wanted }) }
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
  const time = timeOfPoint(since, info)
  // Everything since a time before the log is everything.
  const fromSeq =
    time === undefined ? seqOfPoint({ reader, text: since, option: sinceOption, info }) : firstSince(reader, time, info)
  if (fromSeq > toSeq && until !== undefined)
    throw new CliError('USAGE', `${sinceOption} ${since} is after --until ${until}`)
  return { fromSeq, toSeq }
}

/** `seq 1 to 128, 2026-01-31T14:00:00.000Z to 2026-01-31T14:03:20.000Z`. */
export function describeRange({ firstSeq, lastSeq, firstAt, lastAt }: LogInfo): string {
  if (firstAt === undefined || lastAt === undefined) return 'no records'
  return `seq ${firstSeq} to ${lastSeq}, ${formatTime(firstAt)} to ${formatTime(lastAt)}`
}

interface Lookup {
  readonly reader: ChangeLogReader
  readonly text: string
  readonly option: string
  readonly info: LogInfo
}

function seqOfPoint({ reader, text, option, info }: Lookup): Seq {
  const point = parsePoint(text)
  if (point === undefined) {
    throw new CliError(
      'USAGE',
      `${option} ${JSON.stringify(text)} is not a point in time: give ${POINT_FORMS}; the log has ${describeRange(info)}`,
    )
  }
  const time = timeOfPoint(text, info)
  const found = point.type === 'seq' ? seq(point.seq) : time === undefined ? NO_SEQ : reader.seqAt(time)
  // Of a pruned log the objects at its floor are known as well.
  const floor = info.pruned ? info.firstSeq - 1 : info.firstSeq
  const isOutside = found < floor || found > info.lastSeq || found === NO_SEQ
  if (isOutside) throw new CliError('USAGE', `${option} ${text} is outside the log, which has ${describeRange(info)}`)
  return found
}

/** Milliseconds since 1970 UTC of a point that is a time; undefined for a seq, for nonsense, and in an empty log. */
function timeOfPoint(text: string, { lastAt }: LogInfo): number | undefined {
  const point = parsePoint(text)
  if (point === undefined || point.type === 'seq') return undefined
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
