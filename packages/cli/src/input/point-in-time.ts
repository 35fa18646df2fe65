import type { ChangeLogReader, Seq } from '@pointsman/core'
import { CliError } from '../errors.js'

/** A point that a person wrote, before it is looked up in a log. */
export type Point =
  | { readonly type: 'seq'; readonly seq: number }
  /** Milliseconds since 1970 UTC. */
  | { readonly type: 'time'; readonly time: number }
  /** Milliseconds since midnight UTC on the day of the last record. */
  | { readonly type: 'clock'; readonly sinceMidnight: number }
  /** Milliseconds back from the last record. */
  | { readonly type: 'back'; readonly by: number }

export interface ResolvedPoint {
  /** The last record at or before the point. */
  readonly seq: Seq
  /** When that record was observed; absent in an empty log. */
  readonly time?: number
}

export interface PointQuestion {
  readonly reader: ChangeLogReader
  /** What was given; absent: the last record. */
  readonly text: string | undefined
  /** The option it was given to, for the error: `--at`. */
  readonly option: string
  /** The last successful sync's `toSeq` at or before the point instead. */
  readonly applied?: boolean
}

/** Looks a point up. A CliError USAGE, with the range of the log, for nonsense and for what lies outside. */
export function resolvePoint(question: PointQuestion): ResolvedPoint {
  void question
  throw new CliError('USAGE', 'not written yet')
}

/** Bounds for `--since` and `--until`, both inclusive: records at or after the one, at or before the other. */
export function resolveRange(question: {
  readonly reader: ChangeLogReader
  readonly since: string | undefined
  readonly until: string | undefined
}): { readonly fromSeq: Seq; readonly toSeq: Seq } {
  void question
  throw new CliError('USAGE', 'not written yet')
}
