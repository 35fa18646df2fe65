import type { LogRecord } from '../model/record.js'

/** Records of several histories, each of them in order, as one; a record that is in two of them once. */
export function* recordsInOrder(histories: readonly Iterable<LogRecord>[]): Generator<LogRecord, void, undefined> {
  const iterators = histories.map((history) => history[Symbol.iterator]())
  const waiting = iterators.map(nextOf)
  for (;;) {
    const record = waiting.reduce(earlier, undefined)
    if (record === undefined) return
    yield record
    for (const [index, iterator] of iterators.entries()) {
      if (waiting[index]?.seq === record.seq) waiting[index] = nextOf(iterator)
    }
  }
}

function nextOf(iterator: Iterator<LogRecord>): LogRecord | undefined {
  const next = iterator.next()
  return next.done === true ? undefined : next.value
}

const earlier = (one: LogRecord | undefined, other: LogRecord | undefined): LogRecord | undefined =>
  one === undefined || (other !== undefined && other.seq < one.seq) ? other : one
