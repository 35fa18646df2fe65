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
  /** Where the watch of a kind can be taken up again: the resourceVersion of its last bookmark, of a kind received whole. */
  readonly resume: ReadonlyMap<ObjectKind, string>
  /** The last record whose effect the backend has: 0 when it never had any. Absent in an empty log. */
  readonly appliedSeq?: Seq
}

/**
 * Brings a fold to the end of a log, so that an agent goes on where it ended. `visit` is shown each object that there is.
 *
 * A watch is taken up at the last bookmark and at no later event: events of a list that was being received are in no order
 * of their resourceVersions, and what comes twice the log knows.
 */
export function restoreState(
  log: Pick<ChangeLogReader, 'info' | 'eachObjectAt' | 'records' | 'timeOf'>,
  { fold, backend, visit }: RestoreOptions,
): RestoredState {
  const { lastSeq: seq, lastAt: at, applied } = log.info()
  if (seq === NO_SEQ) return { seq, received: new Set(), resume: new Map() }
  const { received } = log.eachObjectAt(seq, (object) => {
    visit(object)
    fold.track(seq, { type: 'ADDED', object, observedAt: at ?? 0 })
  })
  const resume = new Map<ObjectKind, string>()
  for (const kind of received) {
    for (const record of log.records({ types: ['bookmark'], kinds: [kind], descending: true, limit: 1 })) {
      if (record.type === 'bookmark') resume.set(kind, record.resourceVersion)
    }
  }
  const appliedSeq = applied.find((one) => one.backend === backend)?.seq ?? NO_SEQ
  return { seq, ...(at !== undefined && { at }), received, resume, appliedSeq }
}

export interface RestoreOptions {
  readonly fold: StateFold
  /** Whose applied seq is asked for. */
  readonly backend: string
  readonly visit: (object: KubernetesObject) => void
}
