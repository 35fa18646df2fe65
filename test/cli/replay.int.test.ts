import { readFileSync } from 'node:fs'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']

async function replayed(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await runPointsman(['replay', log, ...CIDR, '-o', 'json', ...args])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

/** From and to of each sync, and when it was. */
function syncsIn(path: string): readonly string[] {
  const reader = openChangeLog(path)
  try {
    return [...reader.records({ types: ['sync'] })].map((record) =>
      record.type === 'sync' ? `${record.fromSeq}-${record.toSeq} at ${record.observedAt} ${record.digest ?? ''}` : '',
    )
  } finally {
    reader.close()
  }
}

test('counts what was played, and its document is of the shape that the documents give', async () => {
  const document = await replayed()
  expect(schemaProblems(document, JSON_SCHEMAS.ReplaySummary)).toEqual([])
  expect(document).toMatchObject({ events: 128, failures: 0, servicePorts: 13, spanMs: 19548, at: { seq: 128 } })
})

test('the same log and settings give the same syncs at whatever speed, into a log or not', async () => {
  const fast = folder.path('fast.db')
  const slow = folder.path('slow.db')
  const plain = await replayed()
  const first = await replayed('--record', fast)
  const second = await replayed('--record', slow, '--speed', '40')
  expect(first['syncs']).toBe(plain['syncs'])
  expect(second['syncs']).toBe(plain['syncs'])
  expect(syncsIn(slow)).toEqual(syncsIn(fast))
  expect(syncsIn(fast)).toHaveLength(Number(plain['syncs']))
})

test('a longer pause between syncs gives fewer, and the same in the end', async () => {
  const usual = await replayed()
  const lazy = await replayed('--iptables-min-sync-period', '10s')
  expect(Number(lazy['syncs'])).toBeLessThan(Number(usual['syncs']))
  expect(lazy).toMatchObject({
    servicePorts: usual['servicePorts'],
    last: { rules: (usual['last'] as { rules: number }).rules },
  })
})

test('--until stops at a point, --backend none syncs nothing, and the log is never written', async () => {
  const before = readFileSync(log)
  expect(await replayed('--until', '108')).toMatchObject({
    events: 108,
    at: { seq: 108, time: '2026-11-21T02:24:44.181Z' },
  })
  expect(await replayed('--backend', 'none')).toMatchObject({ events: 128, syncs: 0 })
  expect(readFileSync(log).equals(before)).toBe(true)
})

test('--applied asks for what the last sync had brought into force', async () => {
  const record = folder.path('applied.db')
  await replayed('--record', record)
  const now = await runPointsman(['services', 'checkout', '--log', record, '--at', '2026-11-21T02:24:44.181Z'])
  const applied = await runPointsman([
    'services',
    'checkout',
    '--log',
    record,
    '--at',
    '2026-11-21T02:24:44.181Z',
    '--applied',
  ])
  expect(now.stdout).toMatch(/ none /)
  expect(applied.stdout).toMatch(/ 2\/2 /)
  const unsynced = await runPointsman(['services', '--log', log, '--applied'])
  expect(unsynced).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('no sync succeeded') as string,
  })
})

test('without a configuration nothing is assumed, and standard error says so; a recorded run carries its own', async () => {
  const bare = await runPointsman(['replay', log])
  expect(bare.stderr).toMatch(/^warning: no configuration given.*\n$/)
  const record = folder.path('carried.db')
  await replayed('--record', record)
  expect((await runPointsman(['replay', record])).stderr).toBe('')
})

test('a record of another run is not gone on with', async () => {
  const record = folder.path('other.db')
  await replayed('--record', record)
  const { status, stderr } = await runPointsman(['replay', log, '--cluster-cidr', '10.0.0.0/8', '--record', record])
  expect(status).toBe(2)
  expect(stderr).toMatch(/^error: .*other\.db: record 1 .* use another file\n$/)
})
