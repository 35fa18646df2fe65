import type { ChangeLogReader, Seq } from '@pointsman/core'

/** Whether the agent that writes a log has brought into force what it had heard at some point. */
export type AppliedSince =
  | { readonly type: 'in-force' }
  /** It has not yet, or cannot. */
  | { readonly type: 'behind' }
  /** Nobody syncs by what is in this log. */
  | { readonly type: 'no-agent' }

/** By the last successful sync of the log, and the last change of an object at or before the point. */
export function appliedSince(
  reader: Pick<ChangeLogReader, 'info' | 'appliedAt' | 'records'>,
  point: Seq,
): AppliedSince {
  const sync = reader.appliedAt(reader.info().lastSeq)
  if (sync === undefined) return { type: 'no-agent' }
  const [heard] = reader.records({ toSeq: point, types: ['object'], descending: true, limit: 1 })
  return { type: heard === undefined || heard.seq <= sync.toSeq ? 'in-force' : 'behind' }
}
