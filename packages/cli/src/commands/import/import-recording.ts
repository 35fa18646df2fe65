import type { AppendOutcome, LogEntry, ObjectKind } from '@pointsman/core'
import type { RecordingItem, SqliteChangeLog } from '@pointsman/core/io'

interface ImportOptions {
  readonly batches: AsyncIterable<readonly RecordingItem[]>
  readonly log: Pick<SqliteChangeLog, 'appendSync'>
  /** Between batches; what is in the log by then stays. */
  readonly interrupted?: AbortSignal
  readonly onBatch?: (tally: ImportTally) => void
  /** Named steps, for tests that end the process there: `before append`, `after commit`. */
  readonly onStep?: (step: string) => void
}

/** A line that did not make it into the log as an event, and why. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly code: string
  readonly message: string
}

export interface ImportTally {
  /** Events that are new in the log. */
  events: number
  readonly kinds: { [kind in ObjectKind]: number }
  bookmarks: number
  duplicates: number
  estimated: number
  readonly passedOver: Map<string, number>
  watchErrors: number
  /** Events that an API audit log named the author of, new or not. */
  audited: number
  /** Changes of which an audit log holds no object: they are not in the log. */
  readonly gaps: Map<string, number>
  /** Times that the store of the API servers was another. */
  resets: number
  badLines: number
  refused: number
  /** The first of what was refused or is no event; `badLines` and `refused` count all. */
  readonly problems: Problem[]
  /** Times of the first and the last event of the recording, new or not. */
  firstAt?: number
  lastAt?: number
  isInterrupted: boolean
}

const MAX_PROBLEMS = 100

/** Puts a recording into a log, a transaction a batch. Whatever ends it, what was committed stays, and running it again goes on. */
export async function importRecording(options: ImportOptions): Promise<ImportTally> {
  const { batches, log, interrupted, onBatch, onStep = () => undefined } = options
  const tally = emptyTally()
  for await (const batch of untilAborted(batches, interrupted)) {
    const items = batch.filter((item) => take(item, tally))
    if (items.length > 0) {
      onStep('before append')
      const outcomes = log.appendSync(items.map(entryOf))
      onStep('after commit')
      for (const [index, outcome] of outcomes.entries()) countOutcome(items[index], outcome, tally)
    }
    onBatch?.(tally)
  }
  tally.isInterrupted = interrupted?.aborted === true
  return tally
}

function emptyTally(): ImportTally {
  return {
    events: 0,
    kinds: { Service: 0, EndpointSlice: 0, Node: 0, ServiceCIDR: 0 },
    bookmarks: 0,
    duplicates: 0,
    estimated: 0,
    passedOver: new Map(),
    watchErrors: 0,
    audited: 0,
    gaps: new Map(),
    resets: 0,
    badLines: 0,
    refused: 0,
    problems: [],
    isInterrupted: false,
  }
}

/** Counts what does not depend on the log; whether the item is for the log at all. */
function take(item: RecordingItem, tally: ImportTally): boolean {
  switch (item.type) {
    case 'event':
      tally.firstAt ??= item.event.observedAt
      tally.lastAt = Math.max(tally.lastAt ?? 0, item.event.observedAt)
      if (item.event.estimated === true) tally.estimated++
      if (item.isAudited === true) tally.audited++
      return true
    case 'passed-over':
      tally.passedOver.set(item.kind, (tally.passedOver.get(item.kind) ?? 0) + 1)
      return false
    case 'watch-error':
      tally.watchErrors++
      return true
    case 'reset':
      tally.resets++
      return true
    case 'gap':
      tally.gaps.set(gapReason(item), (tally.gaps.get(gapReason(item)) ?? 0) + 1)
      note(tally, { file: item.file, line: item.line, code: 'AUDIT_GAP', message: item.cause })
      return true
    case 'bad-line':
      tally.badLines++
      note(tally, { file: item.file, line: item.line, code: 'BAD_LINE', message: item.cause })
      return true
  }
}

function entryOf(item: RecordingItem): LogEntry {
  if (item.type === 'event') return { type: 'event', event: item.event }
  const { file, line, observedAt } = item
  switch (item.type) {
    case 'watch-error': {
      const details = { file, line, ...(item.code !== undefined && { code: item.code }) }
      return { type: 'notice', observedAt, code: 'WATCH_ERROR', message: item.message, details }
    }
    case 'bad-line':
      return {
        type: 'notice',
        observedAt,
        code: 'BAD_LINE',
        message: `${file}:${line}: ${item.cause}`,
        details: { file, line, cause: item.cause },
      }
    case 'gap': {
      const { verb, kind, namespace, name, author } = item.request
      const details = { file, line, verb, kind, namespace, name, user: author.requester?.user, cause: item.cause }
      return { type: 'notice', observedAt, code: 'AUDIT_GAP', message: `${file}:${line}: ${item.cause}`, details }
    }
    case 'reset':
      return { type: 'notice', observedAt, code: 'STORE_RESET', message: item.cause, details: { file, line } }
    case 'passed-over':
      return {
        type: 'notice',
        observedAt,
        code: 'PASSED_OVER',
        message: `${file}:${line}: ${item.kind}`,
        details: { file, line },
      }
  }
}

function countOutcome(item: RecordingItem | undefined, outcome: AppendOutcome, tally: ImportTally): void {
  // A notice that was in the log already, or came too late for it, has been counted as what it tells of.
  if (item?.type !== 'event') return
  switch (outcome.type) {
    case 'appended':
      tally.events++
      if (item.event.type === 'BOOKMARK') tally.bookmarks++
      else tally.kinds[item.event.object.kind]++
      break
    case 'duplicate':
      tally.duplicates++
      break
    case 'refused':
      tally.refused++
      note(tally, { file: item.file, line: item.line, code: outcome.code, message: outcome.message })
  }
}

/** Gaps are counted by what was done to what, at which level. */
const gapReason = ({ request: { verb, kind }, cause }: Extract<RecordingItem, { type: 'gap' }>): string => {
  const level = /of level (\w+)/.exec(cause)?.[1]
  return `${verb} of ${kind}${level === undefined ? '' : `, level ${level}`}`
}

function note(tally: ImportTally, problem: Problem): void {
  if (tally.problems.length < MAX_PROBLEMS) tally.problems.push(problem)
}

/** The items of a stream until it ends or the signal comes; what is waited for by then, such as an idle pipe, is left. */
export async function* untilAborted<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item> {
  if (signal === undefined) {
    yield* items
    return
  }
  const iterator = items[Symbol.asyncIterator]()
  try {
    while (!signal.aborted) {
      const next = await unlessAborted(iterator.next(), signal)
      if (next === undefined || next.done === true) return
      yield next.value
    }
  } finally {
    // Not awaited: a stream that is waiting for input would never end.
    if (signal.aborted) void iterator.return?.().then(undefined, () => undefined)
  }
}

/**
 * The promise's value, or undefined when the signal comes first. A promise of the abort, raced again and again, would hold
 * on to the value of every race.
 */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined)
    signal.addEventListener('abort', stop)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
