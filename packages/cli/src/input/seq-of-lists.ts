import { type ChangeLogReader, NO_SEQ, seq, type Seq } from '@pointsman/core'

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
