import type { ChangeLogReader } from '@pointsman/core'
import { countOf, formatCount, formatDuration, shellWord } from '../../output/format-text.js'
import { formatTime, formatTimeIfKnown, pointJson } from '../../output/json.js'
import {
  documentHead,
  flag,
  integer,
  listOf,
  mapOf,
  objectOf,
  oneOfNames,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
} from '../../output/schema.js'
import type { Style } from '../../output/terminal.js'
import type { ImportTally, Problem } from './import-recording.js'

const problem = objectOf('Problem', {
  file: required(text, 'the file, as it was given'),
  line: required(integer, 'the line, from 1'),
  code: required(
    oneOfNames('BAD_LINE', 'AUDIT_GAP', 'RECORD_TOO_OLD', 'OTHER_CLUSTER', 'OTHER_NODE', 'LOG_UNUSABLE'),
    'why, for a script',
  ),
  message: required(text, 'why, for a person'),
})

/** Events of objects, by kind. */
export const kindCounts = objectOf('Kinds', {
  Service: required(integer, 'events of Services'),
  EndpointSlice: required(integer, 'events of EndpointSlices'),
  Node: required(integer, 'events of Nodes'),
  ServiceCIDR: required(integer, 'events of ServiceCIDRs'),
})

/** What `pointsman import -o json` prints. */
export const importSummary = objectOf('ImportSummary', {
  ...documentHead('ImportSummary'),
  at: required(point, 'the last record of the log after the import'),
  log: required(text, 'the path of the log'),
  events: required(integer, 'events that are new in the log, bookmarks included'),
  kinds: required(kindCounts, 'the new events of objects'),
  bookmarks: required(integer, 'the new bookmarks'),
  duplicates: required(integer, 'events that the log had already'),
  estimated: required(integer, 'events without a time of their own, new or not'),
  passedOver: required(
    mapOf(integer),
    'events of kinds that no service proxy reads, and requests of an audit log that changed nothing, by reason',
  ),
  audited: required(integer, 'events whose author an API audit log names, new or not'),
  gaps: required(
    mapOf(integer),
    'changes that an API audit log names without the object after them, by reason: kept as notices',
  ),
  storeResets: required(
    integer,
    'times that the API servers of an audit log began with another store, kept as notices',
  ),
  watchErrors: required(integer, 'errors that ended a watch, kept as notices'),
  badLines: required(integer, 'lines that are no events, kept as notices'),
  refused: required(integer, 'events that the log did not take'),
  problems: required(listOf(problem), 'the first hundred of `badLines`, `gaps` and `refused`'),
  firstAt: optional(time, 'the first event of the recording; absent where it has none'),
  lastAt: optional(time, 'the last event of the recording'),
  interrupted: required(flag, 'whether it was ended before the recording was'),
})
type ImportSummaryJson = DocumentJson<typeof importSummary>

export interface ImportReport {
  readonly tally: ImportTally
  /** The log's path. */
  readonly path: string
  readonly head: number
  /** When the log's last record was observed. */
  readonly headAt?: number
}

export function reportOf({
  tally,
  path,
  reader,
}: {
  readonly tally: ImportTally
  readonly path: string
  readonly reader: Pick<ChangeLogReader, 'info'>
}): ImportReport {
  const { lastSeq, lastAt } = reader.info()
  return { tally, path, head: lastSeq, ...(lastAt !== undefined && { headAt: lastAt }) }
}

/** What was imported, counted, and what to try next. */
export function importText({ tally, path }: ImportReport, style: Style): readonly string[] {
  const { events, firstAt, lastAt } = tally
  const span =
    firstAt === undefined || lastAt === undefined
      ? ''
      : `, ${formatTime(firstAt)} to ${formatTime(lastAt)} (${formatDuration(lastAt - firstAt)})`
  const conclusion =
    events === 0 && tally.duplicates > 0
      ? `nothing new for ${path}`
      : `imported ${countOf(events, 'event')} into ${path}`
  const lines = [style.bold(conclusion) + span, ...countLines(tally)]
  if (events > 0 || tally.duplicates > 0) lines.push(`next: pointsman services --log ${shellWord(path)}`)
  return lines
}

function countLines({
  kinds,
  bookmarks,
  duplicates,
  passedOver,
  estimated,
  audited,
  gaps,
  resets,
  watchErrors,
  badLines,
  refused,
}: ImportTally): readonly string[] {
  const counts: readonly (readonly [number, string])[] = [
    [kinds.Service, 'of Services'],
    [kinds.EndpointSlice, 'of EndpointSlices'],
    [kinds.Node, 'of Nodes'],
    [kinds.ServiceCIDR, 'of ServiceCIDRs'],
    [bookmarks, 'bookmarks'],
    [duplicates, 'in the log already'],
    [audited, 'with the user of an API audit log'],
    ...reasons(passedOver, 'passed over'),
    ...reasons(gaps, 'not known, kept as notices'),
    [resets, 'times that the API servers began with another store, kept as notices'],
    [estimated, 'with estimated times: the recording has none'],
    [watchErrors, 'errors of the watch, kept as notices'],
    [refused, 'refused'],
    [badLines, 'lines that are no events, kept as notices'],
  ]
  const width = counts.reduce((widest, [count]) => Math.max(widest, formatCount(count).length), 0)
  return counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `  ${formatCount(count).padStart(width)}  ${what}`)
}

/** Most reasons that are spelt out, the most frequent first. */
const MOST_REASONS = 20

/** Few kinds are one row, the many sorts of requests of an audit log a row each. */
function reasons(counts: ReadonlyMap<string, number>, what: string): readonly (readonly [number, string])[] {
  const sorted = [...counts].toSorted(([, one], [, other]) => other - one)
  if (sorted.length <= 3) {
    const others = [...counts].map(([kind, count]) => `${formatCount(count)} ${kind}`).join(', ')
    return [[sum(counts.values()), `${what}: ${others}`]]
  }
  const rest = sorted.slice(MOST_REASONS)
  return [
    ...sorted.slice(0, MOST_REASONS).map(([kind, count]) => [count, `${what}: ${kind}`] as const),
    [rest.reduce((total, [, count]) => total + count, 0), `${what}: ${formatCount(rest.length)} other reasons`],
  ]
}

/** A log only goes on: what was observed meanwhile cannot be put in later. */
const TOO_OLD_ADVICE =
  'what is older than the end of a log does not go in: give files of one time together, to a new log'

/** A line for each of the first problems: `FILE:LINE: CODE message`; then what to do. */
export function problemLines({ problems, badLines, refused, gaps }: ImportTally, limit = 10): readonly string[] {
  const lines = problems
    .slice(0, limit)
    .map(({ file, line, code, message }: Problem) => `${file}:${line}: ${code}: ${message}`)
  const more = badLines + refused + sum(gaps.values()) - lines.length
  if (more > 0) lines.push(`and ${formatCount(more)} more like these`)
  if (problems.some(({ code }) => code === 'RECORD_TOO_OLD')) lines.push(TOO_OLD_ADVICE)
  return lines
}

export function importDocument({ tally, path, head, headAt }: ImportReport): ImportSummaryJson {
  const {
    events,
    kinds,
    bookmarks,
    duplicates,
    estimated,
    passedOver,
    watchErrors,
    audited,
    gaps,
    resets,
    badLines,
    refused,
    problems,
    firstAt,
    lastAt,
  } = tally
  return {
    kind: 'ImportSummary',
    at: pointJson({ seq: head, time: headAt }),
    log: path,
    events,
    kinds,
    bookmarks,
    duplicates,
    estimated,
    passedOver: Object.fromEntries(passedOver),
    audited,
    gaps: Object.fromEntries(gaps),
    storeResets: resets,
    watchErrors,
    badLines,
    refused,
    problems,
    firstAt: formatTimeIfKnown(firstAt),
    lastAt: formatTimeIfKnown(lastAt),
    interrupted: tally.isInterrupted,
  }
}

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0)
