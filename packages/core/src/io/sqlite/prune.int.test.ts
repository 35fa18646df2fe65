import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type LogEntry, type LogRecord, seq } from '../../model/record.js'
import { churn } from '../../testing/churn.js'
import { service } from '../../testing/manifests.js'
import { openChangeLog, openChangeLogWriter, type SqliteChangeLog } from './change-log.js'

let directory = ''
let file = ''
let log: SqliteChangeLog
const SERVICES = 20
const events = [...churn({ services: SERVICES, events: 2000 })]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-log-'))
  file = join(directory, 'log.db')
  log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery: 100 })
})
afterEach(() => {
  log.close()
  rmSync(directory, { recursive: true })
})

const fill = (): LogRecord[] => {
  log.appendSync([
    { type: 'config', observedAt: 0, config: { layout: 'classic' } },
    sync(1),
    ...events.map((event): LogEntry => ({ type: 'event', event })),
  ])
  return [...log.records()]
}
const sync = (observedAt: number): LogEntry => ({
  type: 'sync',
  observedAt,
  backend: 'mock',
  fromSeq: seq(0),
  toSeq: seq(0),
  full: true,
  changed: 0,
  durationMs: 1,
})
const timeAt = (records: readonly LogRecord[], position: number): number => records[position - 1]?.observedAt ?? 0

test('what is old goes, and what is left reads as before', () => {
  const records = fill()
  const now = log.lastObservedAt
  const keepFrom = timeAt(records, 1500)
  const before = log.objectsAt(seq(1700))
  const { removed } = log.prune({ maxAgeMs: now - keepFrom, now })
  const { firstSeq } = log.info()
  expect(firstSeq).toBeGreaterThan(1300)
  expect(firstSeq).toBeLessThanOrEqual(1501)
  // The configuration and the last sync stay.
  expect(removed).toBe(firstSeq - 1 - 2)
  expect([...log.records()]).toEqual(records.slice(firstSeq - 1))
  expect([...log.records({ descending: true, limit: 5 })]).toEqual(records.slice(-5).reverse())
  expect(log.objectsAt(seq(1700))).toEqual(before)
  const object = { namespace: 'team-1', name: 'service-1' }
  const openedLog = openChangeLog(file)
  expect([...openedLog.records({ object })]).toEqual(
    records.filter(
      (record) =>
        record.seq >= firstSeq &&
        record.type === 'object' &&
        record.name.startsWith('service-1') &&
        record.namespace === 'team-1',
    ),
  )
  openedLog.close()
})

test('records that are younger stay, whatever the snapshots', () => {
  const records = fill()
  const now = log.lastObservedAt
  for (const kept of [1999, 777, 100]) {
    log.prune({ maxAgeMs: now - timeAt(records, 2000 - kept), now })
    const younger = records.slice(2000 - kept)
    expect([...log.records()].filter(({ seq: position }) => position >= (younger[0]?.seq ?? 0))).toEqual(younger)
  }
})

test('the configuration, the last sync, the cluster and the counts survive', () => {
  log.appendSync([
    {
      type: 'event',
      event: {
        type: 'ADDED',
        observedAt: 0,
        object: service({ name: 'kubernetes', namespace: 'default', uid: 'c1', resourceVersion: '1' }),
      },
    },
  ])
  fill()
  const now = log.lastObservedAt
  const applied = log.appliedAt(seq(log.head))
  log.prune({ maxAgeMs: 1, now: now + 1e9 })
  expect(log.appliedAt(seq(log.head))).toEqual(applied)
  expect(log.configAt(seq(log.head))).toEqual({ layout: 'classic' })
  const info = log.info()
  expect(info).toMatchObject({
    clusterId: 'c1',
    pruned: true,
    applied: [{ backend: 'mock', at: 1 }],
    counts: { config: 0, sync: 0 },
  })
  expect(info.counts.object).toBe([...log.records({ types: ['object'] })].length)
  log.close()
  log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery: 100 })
  expect(log.info()).toMatchObject({ ...info, bytes: log.info().bytes })
  const other = service({ name: 'kubernetes', namespace: 'default', uid: 'c2', resourceVersion: '99999999' })
  expect(
    log.appendSync([{ type: 'event', event: { type: 'MODIFIED', observedAt: now, object: other } }]),
  ).toMatchObject([{ code: 'OTHER_CLUSTER' }])
})

test('what is asked for below is refused, not answered wrongly', () => {
  fill()
  const now = log.lastObservedAt
  log.prune({ maxAgeMs: 1000, now })
  const floor = log.info().firstSeq - 1
  expect(() => log.objectsAt(seq(floor - 1))).toThrow(expect.objectContaining({ code: 'LOG_PRUNED' }))
  expect(log.objectsAt(seq(floor)).objects.length).toBeGreaterThan(SERVICES)
  expect([log.timeOf(seq(floor - 1)), log.seqAt(1)]).toEqual([undefined, 0])
  const floorTime = log.timeOf(seq(floor))
  expect(floorTime === undefined ? undefined : log.seqAt(floorTime)).toBeGreaterThanOrEqual(floor)
})

test('a reader whose part of the log is pruned meanwhile is told so', () => {
  const records = fill()
  const reader = openChangeLog(file)
  const reading = reader.records()[Symbol.iterator]()
  expect(reading.next().value).toEqual(records[0])
  log.prune({ maxAgeMs: 1000, now: log.lastObservedAt })
  const rest = (): unknown[] => [...{ [Symbol.iterator]: () => reading }]
  expect(rest).toThrow(expect.objectContaining({ code: 'LOG_PRUNED' }))
  reader.close()
})

test('the file shrinks to the size that is wanted', () => {
  fill()
  log.close()
  const full = statSync(file).size
  log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery: 100 })
  const { bytes } = log.prune({ maxBytes: full >> 1, now: 0 })
  expect(bytes).toBeLessThanOrEqual(full >> 1)
  log.close()
  expect(statSync(file).size).toBeLessThanOrEqual(full * 0.55)
  log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery: 100 })
  expect(log.info().lastSeq).toBe(log.head)
})

test('a log too quiet for snapshots is pruned all the same', () => {
  log.close()
  rmSync(file)
  log = openChangeLogWriter(file, { durability: 'normal' })
  fill()
  const now = log.lastObservedAt
  log.prune({ maxAgeMs: 1e6, now: now + 5e5 })
  expect(log.info()).toMatchObject({ pruned: false, snapshots: 1 })
  log.prune({ maxAgeMs: 1e6, now: now + 2e6 })
  expect(log.info()).toMatchObject({ pruned: true, firstSeq: 0, lastSeq: log.head })
  expect(log.objectsAt(log.head).objects).toHaveLength(2 * SERVICES + 1)
  const next: LogEntry = {
    type: 'event',
    event: { type: 'ADDED', observedAt: now, object: service({ name: 'new', resourceVersion: '1' }) },
  }
  expect(log.appendSync([next])).toEqual([{ type: 'appended', seq: log.head }])
  expect([...log.records()]).toHaveLength(1)
})

test('nothing goes without a limit that is exceeded', () => {
  const records = fill()
  expect(log.prune({ now: log.lastObservedAt + 1e12 }).removed).toBe(0)
  expect(log.prune({ maxAgeMs: 1e12, maxBytes: 1e12, now: log.lastObservedAt }).removed).toBe(0)
  expect([...log.records()]).toEqual(records)
})

test('objects of which nothing is left are forgotten, and live ones never', () => {
  const { added, deleted } = { added: 'ADDED', deleted: 'DELETED' } as const
  const entries = Array.from({ length: 300 }, (_, index): LogEntry[] => {
    const object = service({ name: `job-${index}`, resourceVersion: String(index + 1) })
    const gone = service({ name: `job-${index}`, resourceVersion: String(index + 1001) })
    return [
      { type: 'event', event: { type: added, observedAt: index, object } },
      { type: 'event', event: { type: deleted, observedAt: index, object: gone } },
    ]
  })
  const alive: LogEntry = {
    type: 'event',
    event: { type: 'ADDED', observedAt: 0, object: service({ name: 'alive', resourceVersion: '5000' }) },
  }
  log.appendSync([alive, ...entries.flat()])
  const before = log.info().bytes
  log.prune({ maxAgeMs: 10, now: 1000 })
  expect([...log.records({ object: { namespace: 'shop', name: 'job-5' } })]).toEqual([])
  expect(log.objectsAt(log.head).objects.map(({ metadata }) => metadata.name)).toEqual(['alive'])
  expect(log.info().bytes).toBeLessThan(before / 2)
})

test('a log of few and large records is kept as large as it may be, though none of its snapshots is due', () => {
  log.close()
  log = openChangeLogWriter(file, { durability: 'normal' })
  for (let at = 1; at <= 40; at++) {
    const object = service({ name: 'web' })
    const annotations = { text: randomBytes(150_000).toString('base64') }
    const metadata = { ...object.metadata, annotations, uid: 'u', resourceVersion: `${at}` }
    const event = { type: at === 1 ? 'ADDED' : 'MODIFIED', object: { ...object, metadata }, observedAt: at } as const
    log.appendSync([{ type: 'event', event }])
    if (at % 10 === 0) log.prune({ maxBytes: 500_000, now: at })
  }
  expect(log.info()).toMatchObject({ firstSeq: 31, lastSeq: 40 })
  expect(statSync(file).size).toBeLessThan(6_000_000)
})
