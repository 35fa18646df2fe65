import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { NO_SEQ, type Seq } from '../model/record.js'
import type { ChangeLogReader } from '../ports/change-log.js'
import type { StateFold } from '../state/state-fold.js'

export interface RestoredState {
  /** The log's last record; 0 in an empty log. */
  readonly seq: Seq
  /** When it was observed, in milliseconds since 1970 UTC; absent in an empty log. */
  readonly at?: number
  /** Kinds whose list had been received whole. */
  readonly received: ReadonlySet<ObjectKind>
  /** The last record whose effect the backend has: 0 when it never had any. Absent in an empty log. */
  readonly appliedSeq?: Seq
}

/** Brings a fold to the end of a log, so that an agent goes on where it ended. `visit` is shown each object that there is. */
export function restoreState(
  log: Pick<ChangeLogReader, 'info' | 'eachObjectAt'>,
  { fold, backend, visit }: RestoreOptions,
): RestoredState {
  const { lastSeq: seq, lastAt: at, applied } = log.info()
  if (seq === NO_SEQ) return { seq, received: new Set() }
  const { received } = log.eachObjectAt(seq, (object) => {
    visit(object)
    fold.track(seq, { type: 'ADDED', object, observedAt: at ?? 0 })
  })
  const appliedSeq = applied.find((one) => one.backend === backend)?.seq ?? NO_SEQ
  return { seq, ...(at !== undefined && { at }), received, appliedSeq }
}

export interface RestoreOptions {
  readonly fold: StateFold
  /** Whose applied seq is asked for. */
  readonly backend: string
  readonly visit: (object: KubernetesObject) => void
}
