import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { atOnce } from '../model/language.js'
import { type LogEntry, type LogRecord, NO_SEQ, seq, type Seq } from '../model/record.js'
import type { AppendOutcome, ChangeLogReader, ChangeLogWriter } from '../ports/change-log.js'
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
export const restoreState = (log: RestoredLog, options: RestoreOptions): RestoredState =>
  atOnce(restoreInSteps(log, options))

type RestoredLog = Pick<ChangeLogReader, 'info' | 'objectsInSteps'>

/** The same in steps: it yields now and then, so that probes and signals can have their turn. */
export function* restoreInSteps(
  log: RestoredLog,
  { fold, backend, visit }: RestoreOptions,
): Generator<undefined, RestoredState, undefined> {
  const { lastSeq: seq, lastAt: at, applied } = log.info()
  if (seq === NO_SEQ) return { seq, received: new Set() }
  const { received } = yield* log.objectsInSteps(seq, (object) => {
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

/** What is in the log is not what this run would have written there. */
export class ResumeError extends Error {
  readonly code = 'LOG_OF_ANOTHER_RUN'

  constructor(record: LogRecord, entry: LogEntry) {
    super(
      `record ${record.seq} (${describe(record)}) differs from what this run writes there (${describe(entry)}): use another file`,
    )
  }
}

/**
 * Lets a run that was killed be finished by running it again. A replay writes the same entries each time; those that the
 * log holds already are compared and passed over, the rest is appended.
 */
export function resumedWriter(log: ChangeLogWriter & Pick<ChangeLogReader, 'records'>): ChangeLogWriter {
  const held = log.records()[Symbol.iterator]()
  let next = held.next()
  /** A resumed run numbers from the start. */
  let head = next.done === true ? log.head : seq(next.value.seq - 1)

  return {
    get head() {
      return head
    },
    lastObservedAt: next.done === true ? log.lastObservedAt : 0,
    async append(entries) {
      const outcomes: AppendOutcome[] = []
      while (next.done !== true && outcomes.length < entries.length) {
        const entry = entries[outcomes.length]
        if (entry === undefined) break
        if (describe(next.value) !== describe(entry)) throw new ResumeError(next.value, entry)
        outcomes.push({ type: 'appended', seq: next.value.seq })
        next = held.next()
      }
      const rest = entries.slice(outcomes.length)
      if (rest.length > 0) for (const outcome of await log.append(rest)) outcomes.push(outcome)
      head = log.head
      return outcomes
    },
  }
}

/** What tells one entry from another of the same run. */
function describe(item: LogEntry | LogRecord): string {
  switch (item.type) {
    case 'event': {
      const { event } = item
      if (event.type === 'BOOKMARK') return `bookmark ${event.kind} ${event.resourceVersion} at ${event.observedAt}`
      const { kind, metadata } = event.object
      const version = typeof metadata['resourceVersion'] === 'string' ? metadata['resourceVersion'] : ''
      return `${event.type} ${kind} ${metadata.namespace ?? ''}/${metadata.name} ${version} at ${event.observedAt}`
    }
    case 'object':
      return `${item.event} ${item.kind} ${item.namespace}/${item.name} ${item.resourceVersion} at ${item.observedAt}`
    case 'bookmark':
      return `bookmark ${item.kind} ${item.resourceVersion} at ${item.observedAt}`
    case 'sync':
      return `sync ${item.fromSeq} to ${item.toSeq} ${item.digest ?? 'failed'} at ${item.observedAt}`
    case 'config':
      return `config ${JSON.stringify(item.config)}`
    case 'notice':
      return `notice ${item.code} at ${item.observedAt}`
  }
}
