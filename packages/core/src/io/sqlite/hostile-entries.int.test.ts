import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Json, KubernetesObject } from '../../model/kubernetes-object.js'
import { type LogEntry, seq } from '../../model/record.js'
import { service } from '../../testing/manifests.js'
import { createMemoryChangeLog } from '../../testing/memory-change-log.js'
import { openChangeLog, openChangeLogWriter } from './change-log.js'
import { BUILT_THREAD } from './test-support/built-thread.js'
import { deepenLog } from './test-support/deepen-log.js'
import { openThreadedChangeLogWriter } from './threaded-writer.js'

let directory = ''
let file = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-hostile-'))
  file = join(directory, 'log.db')
})
afterEach(() => rmSync(directory, { recursive: true }))

const DEEP = ((): Json => {
  let value: Json = {}
  for (let level = 0; level < 20_000; level++) value = { a: value }
  return value
})()
const added = (object: KubernetesObject): LogEntry => ({
  type: 'event',
  event: { type: 'ADDED', object, observedAt: 1000 },
})
const web = (name: string): KubernetesObject => service({ name, resourceVersion: '7' })
const notice = (details: Json): LogEntry => ({
  type: 'notice',
  observedAt: 1000,
  code: 'TEST',
  message: 'm',
  details: { details },
})

const ENTRIES: readonly LogEntry[] = [
  added(web('a')),
  added({ ...web('spec'), spec: DEEP }),
  added({ ...web('status'), status: { x: [DEEP] } }),
  notice(DEEP),
  { ...added(web('numbered')), seq: seq(9) },
  { ...added({ ...web('late'), spec: DEEP }), seq: seq(10) },
  added(web('b')),
]
const EXPECTED = [
  '1 ADDED shop/a',
  expect.stringMatching(/^2 ENTRY_UNWRITABLE ADDED Service shop\/spec could not be written/),
  expect.stringMatching(/^3 ENTRY_UNWRITABLE ADDED Service shop\/status could not be written/),
  expect.stringMatching(/^4 ENTRY_UNWRITABLE an entry of the type notice could not be written/),
  '9 ADDED shop/numbered',
  expect.stringMatching(/^10 ENTRY_UNWRITABLE ADDED Service shop\/late/),
  '11 ADDED shop/b',
]

function told(): readonly string[] {
  const reader = openChangeLog(file)
  try {
    return [...reader.records()].map((record) =>
      record.type === 'object'
        ? `${record.seq} ${record.event} ${record.namespace}/${record.name}`
        : `${record.seq} ${record.type === 'notice' ? `${record.code} ${record.message}` : record.type}`,
    )
  } finally {
    reader.close()
  }
}

describe('an entry that has no form in a log', () => {
  test('becomes a notice that names it, and all others are written', () => {
    const log = openChangeLogWriter(file, { durability: 'normal' })
    const outcomes = log.appendSync(ENTRIES)
    log.close()
    expect(outcomes.map(({ type }) => type)).toEqual(ENTRIES.map(() => 'appended'))
    expect(told()).toEqual(EXPECTED)
  })

  test('becomes one in a log that a thread writes, whether or not it can be sent to it', async () => {
    const log = await openThreadedChangeLogWriter(file, { durability: 'normal', threadFile: BUILT_THREAD })
    const outcomes = await log.append(ENTRIES)
    await log.close()
    expect(outcomes.map(({ type }) => type)).toEqual(ENTRIES.map(() => 'appended'))
    expect(told()).toEqual(EXPECTED)
  })

  test('becomes one in memory', () => {
    const log = createMemoryChangeLog()
    log.appendSync(ENTRIES.filter(({ type }) => type === 'event'))
    const kinds = [...log.records()].map((record) => (record.type === 'notice' ? record.code : record.type))
    expect(kinds).toEqual(['object', 'ENTRY_UNWRITABLE', 'ENTRY_UNWRITABLE', 'object', 'ENTRY_UNWRITABLE', 'object'])
  })
})

test('a log that holds objects of any depth is read, and goes on', () => {
  const write = (entries: readonly LogEntry[]): void => {
    const log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery: 2 })
    log.appendSync(entries)
    log.close()
  }
  write([added(web('a')), added(web('b')), added(web('c'))])
  for (const levels of [3000, 20_000]) expect(deepenLog(file, levels)).toBeGreaterThan(0)
  const changed = { ...web('c'), metadata: { ...web('c').metadata, resourceVersion: '8' } }
  write([{ type: 'event', event: { type: 'MODIFIED', object: changed, observedAt: 2000 } }])
  const reader = openChangeLog(file)
  expect(JSON.stringify([...reader.records()]).length).toBeLessThan(100_000)
  expect(JSON.stringify(reader.objectsAt(reader.info().lastSeq).objects).length).toBeLessThan(100_000)
  reader.close()
  expect(told()).toHaveLength(4)
})
