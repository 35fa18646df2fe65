import type { Style } from '../output/colour.js'
import { countOf, formatCount, formatDuration } from '../output/duration.js'
import { type Document, formatTime } from '../output/json.js'
import { shellWord } from '../output/shell-word.js'
import type { RecordTally } from './record-cluster.js'

/** What was recorded, and what to try next. */
export function recordText(
  { events, kinds, firstAt, lastAt }: RecordTally,
  log: string,
  style: Style,
): readonly string[] {
  const span =
    firstAt === undefined || lastAt === undefined
      ? ''
      : `, ${formatTime(firstAt)} to ${formatTime(lastAt)} (${formatDuration(lastAt - firstAt)})`
  const conclusion = events === 0 ? `nothing new for ${log}` : `recorded ${countOf(events, 'event')} into ${log}`
  const counts = [
    `${formatCount(kinds.Service)} of Services`,
    `${formatCount(kinds.EndpointSlice)} of EndpointSlices`,
    `${formatCount(kinds.Node)} of Nodes`,
  ]
  return [style.bold(conclusion) + span, `  ${counts.join(', ')}`, `next: pointsman services --log ${shellWord(log)}`]
}

export function recordDocument({ events, kinds, firstAt, lastAt, head }: RecordTally, log: string): Document {
  return {
    kind: 'RecordSummary',
    at: { seq: head, ...(lastAt !== undefined && { time: formatTime(lastAt) }) },
    log,
    events,
    kinds,
    ...(firstAt !== undefined && { firstAt: formatTime(firstAt) }),
    ...(lastAt !== undefined && { lastAt: formatTime(lastAt) }),
  }
}
