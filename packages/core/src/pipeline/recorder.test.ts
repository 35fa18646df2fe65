import { describe, expect, test } from 'vitest'
import { type LogEntry, NO_SEQ, seq } from '../model/record.js'
import { ChangeLogError, type ChangeLogWriter } from '../ports/change-log.js'
import { createMemoryChangeLog, type MemoryChangeLog } from '../testing/memory-change-log.js'
import { createEventMaker, service } from '../testing/manifests.js'
import { createRecorder, type LogHealth, type Recorder, type RecorderOptions, type RecordOutcome } from './recorder.js'
import { VirtualClock } from './replay.js'

const START = Date.UTC(2026, 0, 1)
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

function recording(options: Partial<RecorderOptions> = {}): {
  recorder: Recorder
  log: MemoryChangeLog
  clock: VirtualClock
  outcomes: string[]
  health: LogHealth[]
  put: (entry: LogEntry) => void
  inLog: () => string[]
} {
  const log = createMemoryChangeLog()
  const clock = new VirtualClock(START)
  const recorder = createRecorder({ log, scheduler: clock, patienceMs: 100, retryMs: 1000, ...options })
  const outcomes: string[] = []
  const health: LogHealth[] = []
  recorder.health$.subscribe((state) => health.push(state))
  return {
    recorder,
    log,
    clock,
    outcomes,
    health,
    put: (entry) => recorder.put(entry, (outcome) => outcomes.push(describeOutcome(outcome))),
    inLog: () =>
      [...log.records()].map(
        (record) =>
          `${record.seq} ${record.type === 'object' ? record.resourceVersion : record.type === 'notice' ? record.code : record.type}`,
      ),
  }
}

/** A disk that does not answer, until the result is called. */
function hang(log: MemoryChangeLog): () => void {
  let release = (): void => undefined
  log.delayUntil(new Promise((resolve) => (release = resolve)))
  return () => release()
}

const describeOutcome = (outcome: RecordOutcome): string =>
  outcome.type === 'duplicate'
    ? `duplicate of ${outcome.seq}`
    : `${outcome.seq}${outcome.durable ? '' : ' from memory'}`

const version = (name: string, resourceVersion: number): LogEntry => ({
  type: 'event',
  event: createEventMaker(START).modified(service({ name, resourceVersion: String(resourceVersion) })),
})

describe('a log that works', () => {
  test('holds an entry before the entry takes effect', async () => {
    const { put, outcomes, inLog, log } = recording()
    const release = hang(log)
    put(version('web', 1))
    await settle()
    expect(outcomes).toEqual([])
    release()
    await settle()
    expect(inLog()).toEqual(['1 1'])
    expect(outcomes).toEqual(['1'])
  })

  test('takes what came during a write as one batch, in order', async () => {
    const { put, outcomes, inLog } = recording()
    for (let i = 1; i <= 5; i++) put(version('web', i))
    await settle()
    expect(outcomes).toEqual(['1', '2', '3', '4', '5'])
    expect(inLog()).toEqual(['1 1', '2 2', '3 3', '4 4', '5 5'])
  })

  test('says when it has an event already', async () => {
    const { put, outcomes } = recording()
    put(version('web', 1))
    put(version('web', 1))
    put(version('web', 2))
    await settle()
    expect(outcomes).toEqual(['1', 'duplicate of 1', '3'])
  })

  test('does not refuse what happens while a clock has stepped back', async () => {
    const { recorder, put, outcomes, clock } = recording()
    recorder.put({ type: 'notice', observedAt: START + 60_000, code: 'X', message: 'from the future' })
    put(version('web', 1))
    await settle()
    expect(outcomes).toEqual(['2'])
    expect(clock.now()).toBe(START)
  })
})

describe('a log that cannot be written', () => {
  test('does not hold up what happens, and gets all of it once it can be', async () => {
    const { put, outcomes, log, clock, inLog, health } = recording()
    put(version('web', 1))
    await settle()
    log.failWhile(() => 'LOG_FULL')
    put(version('web', 2))
    put(version('web', 3))
    await settle()
    put(version('web', 4))
    expect(outcomes).toEqual(['1', '2 from memory', '3 from memory', '4 from memory'])
    expect(health.at(-1)).toMatchObject({ type: 'degraded', code: 'LOG_FULL', since: START, unwritten: 3, lost: 0 })

    log.failWhile(undefined)
    void clock.advanceTo(START + 1000)
    await settle()
    expect(inLog()).toEqual(['1 1', '2 2', '3 3', '4 4', '5 LOG_GAP'])
    expect([...log.records({ types: ['notice'] })]).toMatchObject([
      { details: { cause: 'LOG_FULL', fromSeq: 2, toSeq: 4, lost: 0 } },
    ])
    expect(health.at(-1)).toEqual({ type: 'ok' })
    put(version('web', 6))
    await settle()
    expect(outcomes.at(-1)).toBe('6')
  })

  test('is tried again and again', async () => {
    const { put, log, clock, inLog, outcomes } = recording()
    log.failWhile(() => 'LOG_READ_ONLY')
    put(version('web', 1))
    await settle()
    for (let second = 1; second <= 5; second++) {
      void clock.advanceTo(START + second * 1000)
      await settle()
    }
    expect(outcomes).toEqual(['1 from memory'])
    log.failWhile(undefined)
    void clock.advanceTo(START + 6000)
    await settle()
    expect(inLog()).toEqual(['1 1', '2 LOG_GAP'])
  })

  test('costs memory for each object, not for each event, and says what is lost', async () => {
    const { put, log, clock, inLog, health } = recording({ unwrittenLimit: 4 })
    log.failWhile(() => 'LOG_FULL')
    for (let i = 1; i <= 20; i++) put(version(i % 2 === 0 ? 'web' : 'api', i))
    await settle()
    expect(health.at(-1)).toMatchObject({ type: 'degraded' })
    log.failWhile(undefined)
    void clock.advanceTo(START + 1000)
    await settle()
    const kept = inLog()
    expect(kept.length).toBeLessThan(10)
    expect(kept.slice(-3)).toEqual(['19 19', '20 20', '21 LOG_GAP'])
  })

  test('is given what is left when the recorder closes', async () => {
    const { recorder, put, log, inLog } = recording()
    log.failWhile(() => 'LOG_FULL')
    put(version('web', 1))
    await settle()
    log.failWhile(undefined)
    await recorder.close()
    expect(inLog().slice(0, 1)).toEqual(['1 1'])
  })
})

test('a log that does not answer is not waited for, and gets everything when it does', async () => {
  const { put, outcomes, log, clock, inLog, health } = recording()
  const release = hang(log)
  put(version('web', 1))
  await settle()
  void clock.advanceTo(START + 99)
  expect(outcomes).toEqual([])
  void clock.advanceTo(START + 100)
  expect(outcomes).toEqual(['1 from memory'])
  put(version('web', 2))
  expect(outcomes).toEqual(['1 from memory', '2 from memory'])
  expect(health.at(-1)).toMatchObject({ type: 'degraded', code: 'LOG_SLOW' })
  release()
  await settle()
  expect(inLog()).toEqual(['1 1', '2 2', '3 LOG_GAP'])
  expect(health.at(-1)).toEqual({ type: 'ok' })
})

test('a log that is slow and then refuses is told with why it refuses', async () => {
  const { put, log, clock, health } = recording()
  const kubernetes = (uid: string, resourceVersion: string): LogEntry => ({
    type: 'event',
    event: createEventMaker(START).added(service({ name: 'kubernetes', namespace: 'default', uid, resourceVersion })),
  })
  put(kubernetes('one', '1'))
  await settle()
  const release = hang(log)
  put(kubernetes('two', '2'))
  await settle()
  void clock.advanceTo(START + 100)
  expect(health.at(-1)).toMatchObject({ type: 'degraded', code: 'LOG_SLOW' })
  release()
  await settle()
  expect(health.at(-1)).toMatchObject({ type: 'degraded', code: 'OTHER_CLUSTER' })
})

test("another cluster's log is left alone, and the events go on", async () => {
  const { put, outcomes, inLog, health } = recording()
  const kubernetes = (uid: string, resourceVersion: string): LogEntry => ({
    type: 'event',
    event: createEventMaker(START).added(service({ name: 'kubernetes', namespace: 'default', uid, resourceVersion })),
  })
  put(kubernetes('one', '1'))
  await settle()
  put(kubernetes('two', '2'))
  await settle()
  put(version('web', 3))
  await settle()
  expect(outcomes).toEqual(['1', '2 from memory', '3 from memory'])
  expect(inLog()).toEqual(['1 1'])
  expect(health.at(-1)).toMatchObject({ type: 'degraded', code: 'OTHER_CLUSTER', lost: 1 })
})

describe('a log that opens late, and holds records that the state was not made from', () => {
  /** A log with three records that answers, once it can be opened, as any. */
  function late() {
    const base = createMemoryChangeLog()
    base.appendSync([version('web', 1), version('web', 2), version('gone', 3)])
    let isThere = false
    const opened = async (): Promise<void> => {
      if (!isThere) throw new ChangeLogError('LOG_READ_ONLY', { file: 'agent.db' })
    }
    const log: ChangeLogWriter = {
      get head() {
        return isThere ? base.head : NO_SEQ
      },
      get lastObservedAt() {
        return isThere ? base.lastObservedAt : 0
      },
      opened,
      append: async (entries) => opened().then(() => base.append(entries)),
    }
    const clock = new VirtualClock(START)
    const recorder = createRecorder({ log, scheduler: clock, patienceMs: 100, retryMs: 1000 })
    const outcomes: string[] = []
    const put = (entry: LogEntry): void => recorder.put(entry, (outcome) => outcomes.push(describeOutcome(outcome)))
    const comes = async (): Promise<void> => {
      isThere = true
      void clock.advanceTo(clock.now() + 1000)
      await settle()
    }
    return { base, recorder, outcomes, put, comes }
  }
  const sync = (fromSeq: number, toSeq: number): LogEntry => ({
    type: 'sync',
    observedAt: START,
    backend: 'mock',
    fromSeq: seq(fromSeq),
    toSeq: seq(toSeq),
    full: false,
    changed: 1,
    durationMs: 1,
  })

  test('numbers what took effect before behind those, and every reference to it', async () => {
    const { base, outcomes, put, comes } = late()
    put(version('web', 10))
    await settle()
    put(version('web', 11))
    put(sync(1, 2))
    expect(outcomes).toEqual(['1 from memory', '2 from memory', '3 from memory'])
    await comes()
    put(version('web', 12))
    // As the engine does: what it last took was 2, and then what has just been recorded.
    await settle()
    const last = Number(outcomes.at(-1))
    put(sync(2, last))
    await settle()
    const records = [...base.records({ fromSeq: seq(4) })]
    const places = new Map(
      records.flatMap((record) => (record.type === 'object' ? [[record.resourceVersion, record.seq]] : [])),
    )
    expect(places.get('10')).toBeLessThan(places.get('11') ?? 0)
    expect(places.get('12')).toBe(last)
    expect(records.flatMap((record) => (record.type === 'sync' ? [[record.fromSeq, record.toSeq]] : []))).toEqual([
      [places.get('10'), places.get('11')],
      [places.get('11'), places.get('12')],
    ])
    const [unread, gap] = [...base.records({ types: ['notice'] })]
    expect(unread).toMatchObject({ code: 'LOG_UNREAD', details: { fromSeq: 1, toSeq: 3 } })
    expect(gap).toMatchObject({
      code: 'LOG_GAP',
      details: { fromSeq: places.get('10'), toSeq: expect.any(Number), lost: 0 },
    })
  })

  test('an event that the log has, and the state has not, takes effect; another time it is a duplicate', async () => {
    const { recorder, outcomes, put, comes } = late()
    await comes()
    put(version('web', 2))
    await settle()
    put(version('web', 20))
    await settle()
    put(version('web', 20))
    await settle()
    expect(outcomes.map((text) => text.replace(/of .*/, ''))).toEqual(['4', '6', 'duplicate '])
    await recorder.close()
  })

  test('its lists are marked, and its bookmarks left out in their order, so that the next start compares both', async () => {
    const { base, outcomes, put, comes } = late()
    await comes()
    const list = { kind: 'Service', resourceVersion: '30' }
    put({ type: 'notice', observedAt: START, code: 'LIST', message: '', details: list })
    put({ type: 'event', event: { type: 'BOOKMARK', ...BOOKMARK, resourceVersion: '31', observedAt: START } })
    put(version('web', 32))
    await settle()
    expect(outcomes).toEqual(['4', '5 from memory', '6'])
    const records = [...base.records({ fromSeq: seq(4) })]
    expect(records.map(({ type }) => type)).toEqual(['notice', 'object', 'notice'])
    expect(records[0]).toMatchObject({ details: { ...list, unread: true } })
  })
})

const BOOKMARK = { kind: 'Service', initialEventsEnd: true } as const
