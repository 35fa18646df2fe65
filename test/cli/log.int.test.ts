import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { seq } from '@pointsman/core'
import { openChangeLog, openChangeLogWriter } from '@pointsman/core/io'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { history } from '../../packages/cli/src/commands/log/history.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { recordItem } from '../../packages/cli/src/commands/log/schema.js'
import { churn } from '../../packages/core/src/testing/churn.js'
import { runInProcess } from '../support/run-in-process.js'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => {
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
  await runPointsman(['replay', log, '--record', folder.path('replayed.db')])
})
afterAll(folder.remove)

async function lines(...args: readonly string[]): Promise<readonly string[]> {
  const { status, stdout, stderr } = await runPointsman(['log', '--log', log, '--oneline', ...args])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout === '' ? [] : stdout.trimEnd().split('\n')
}
const seqs = async (...args: readonly string[]): Promise<readonly number[]> =>
  (await lines(...args)).map((line) => Number.parseInt(line, 10))

/** A log of 7000 changes over 40 services. */
function manyEvents(): string {
  const file = folder.path('many.db')
  if (existsSync(file)) return file
  const writer = openChangeLogWriter(file, { durability: 'normal' })
  writer.appendSync([...churn({ services: 40, events: 7000 })].map((event) => ({ type: 'event', event })))
  writer.close()
  return file
}

describe('the history', () => {
  test('of a service holds its edits and its slices, newest first, with who made them', async () => {
    expect(
      (await lines('checkout', '--since', '02:24:44')).map((line) => line.replace(/ by kube-controller.*?:/, ':')),
    ).toEqual([
      '128 2026-11-21T02:24:50.504Z MODIFIED EndpointSlice shop/checkout-wbn79: endpoints: 0 -> 2; +10.244.1.14 (checkout-v1-0 on node-a); +10.244.3.16 (checkout-v1-2 on node-c)',
      '127 2026-11-21T02:24:50.500Z MODIFIED Service shop/checkout by kubectl-rollback: selector app=checkout,tier=backend -> app=checkout',
      '108 2026-11-21T02:24:44.181Z MODIFIED EndpointSlice shop/checkout-wbn79: endpoints: 2 -> 0; -10.244.1.14 (checkout-v1-0 on node-a); -10.244.3.16 (checkout-v1-2 on node-c)',
      '107 2026-11-21T02:24:44.177Z MODIFIED Service shop/checkout by kubectl-edit: selector app=checkout -> app=checkout,tier=backend',
    ])
  })

  test('is a block a record, and says of a deletion that nobody knows who made it', async () => {
    const { stdout } = await runPointsman(['log', 'shop/metrics', '--type', 'deleted', '--kind', 'svc', '--log', log])
    expect(stdout).toBe(
      'seq 123  2026-11-21T02:24:48.774Z  DELETED Service shop/metrics\n' +
        '    by unknown: the API does not say who deletes\n' +
        '    was NodePort 10.96.50.10, http 9090/TCP, statsd 8125/UDP, selector app=metrics\n\n',
    )
  })

  test('is filtered by kind, type, namespace, span and count, in either order', async () => {
    expect(await seqs('--kind', 'Service', '--type', 'MODIFIED')).toEqual([127, 122, 107, 105, 50])
    expect(await seqs('--kind', 'services,nodes', '--until', '6', '--reverse')).toEqual([1, 3, 6])
    expect(await seqs('--namespace', 'kube-system')).toEqual([56, 54, 52])
    expect(await seqs('--since', '-1s')).toEqual([128, 127])
    expect(await seqs('--since', '105', '--until', '107')).toEqual([107, 106, 105])
    expect(await seqs('-n', '3')).toEqual([128, 127, 126])
    expect(await seqs('-n', '2', '--reverse')).toEqual([1, 3])
    expect(await seqs('--type', 'bookmark')).toEqual([5, 4, 2])
    expect(await seqs('--type', 'notice')).toEqual([])
    // A record that is left out still counts as the version before.
    expect((await lines('metrics', '--kind', 'Service', '--type', 'ADDED'))[0]).toContain(
      ': ClusterIP 10.96.50.99, http 9090/TCP',
    )
  })

  test('shows the merge patch of a record', async () => {
    const { stdout } = await runPointsman([
      'log',
      '--since',
      '107',
      '--until',
      '107',
      '--patch',
      '-o',
      'jsonl',
      '--log',
      log,
    ])
    const item = JSON.parse(stdout) as { readonly patch: { readonly spec: unknown } }
    expect(item.patch.spec).toEqual({ selector: { tier: 'backend' } })
  })

  test('shows the syncs of a replay', async () => {
    const { stdout } = await runPointsman([
      'log',
      '--type',
      'sync',
      '-n',
      '1',
      '--oneline',
      '--log',
      folder.path('replayed.db'),
    ])
    expect(stdout).toMatch(
      /^\d+ 2026-11-21T\S+ SYNC mock: seq \d+ to \d+, \d+ service ports?, .* rules in force, [\d,]+ bytes written\n$/,
    )
  })

  test.each([
    ['in the shop', () => log, {}, 2],
    ['from a point on', () => log, { fromSeq: seq(60) }, 2],
    ['of Services', () => log, { kinds: ['Service'] as const }, 2],
    ['of a log that is read in many portions', manyEvents, {}, 5000],
    ['of the Services in it, from a point on', manyEvents, { kinds: ['Service'] as const, fromSeq: seq(500) }, 20],
    ['of one of its services', manyEvents, { object: { namespace: 'team-1', name: 'service-1' } }, 20],
  ])('is the same backwards as forwards %s', (_, file, filter, least) => {
    const reader = openChangeLog(file())
    const ask = (descending: boolean) => [
      ...history({
        reader,
        filter: { ...filter, descending },
        accepts: (record) => record.type === 'object' && record.event !== 'ADDED',
        limit: Number.POSITIVE_INFINITY,
        withPatch: true,
      }),
    ]
    const forwards = ask(false)
    expect(forwards.length).toBeGreaterThan(least)
    expect(ask(true).toReversed()).toEqual(forwards)
    reader.close()
  })

  test('ends silently when the reader of the pipe has had enough', async () => {
    const command = fileURLToPath(new URL('../../packages/cli/bin/pointsman.mjs', import.meta.url))
    const child = spawn(process.execPath, [command, 'log', '--patch', '--log', log], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stderr = ''
    child.stderr.on('data', (text) => (stderr += String(text)))
    child.stdout.once('data', () => child.stdout.destroy())
    const [status] = (await once(child, 'close')) as [number]
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('-o json of the history', () => {
  test('is a RecordList as docs/json.md has it, for every type of record', async () => {
    for (const file of [log, folder.path('replayed.db')]) {
      const types = ['--type', 'object,sync,config,notice,bookmark']
      const { stdout } = await runPointsman(['log', ...types, '--patch', '-o', 'json', '--log', file])
      const document = JSON.parse(stdout) as { readonly items: readonly unknown[] }
      expect(schemaProblems(document, JSON_SCHEMAS.RecordList)).toEqual([])
      expect(document.items.length).toBeGreaterThan(120)
    }
  })

  test('and -o jsonl is an item a line', async () => {
    const { stdout } = await runPointsman(['log', '-o', 'jsonl', '--log', log])
    const items = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(items).toHaveLength(125)
    for (const item of items) expect(schemaProblems(item, recordItem)).toEqual([])
  })
})

describe('log --follow', () => {
  test('shows the last records, then what is written, until Ctrl-C', async () => {
    const followed = folder.path('followed.db')
    await runPointsman(['import', SHOP_RECORDING, '--log', followed])
    const writer = openChangeLogWriter(followed, { durability: 'normal' })
    const process = runInProcess(['log', '--follow', '-n', '2', '--oneline', '--log', followed])
    await process.said(/^128 /m)
    expect(process.stdout()).toMatch(/^127 .*\n128 .*\n$/)
    const object = { kind: 'Node', metadata: { name: 'node-q', resourceVersion: '900' }, spec: {} } as const
    await writer.append([{ type: 'event', event: { type: 'ADDED', object, observedAt: Date.UTC(2026, 10, 22) } }])
    await process.said(/^129 .* ADDED Node node-q: no address$/m)
    process.interrupt()
    expect(await process.ended).toBe(0)
    writer.close()
  })

  test.each([
    [['-o', 'json'], /-o jsonl/],
    [['--until', '3'], /cannot be combined/],
  ])('has no end: %j', async (args, message) => {
    const { status, stderr } = await runPointsman(['log', '--follow', '--log', log, ...args])
    expect(status).toBe(2)
    expect(stderr).toMatch(message)
  })
})

describe('log info', () => {
  test('says what the log holds', async () => {
    const { status, stdout } = await runPointsman(['log', 'info', '--log', log])
    expect(status).toBe(0)
    expect(stdout).toContain('records    seq 1 to 128\n')
    expect(stdout).toContain('time       2026-11-21T02:24:30.956Z to 2026-11-21T02:24:50.504Z (19.5 s)\n')
    expect(stdout).toContain('objects    125 changes: 19 of Services, 105 of EndpointSlices, 1 of Nodes\n')
    expect(stdout).toContain('cluster    8e672610-3823-43af-a057-ab64e161d56f\n')
  })

  test('says what a replay applied, and is a LogInfo as docs/json.md has it', async () => {
    const replayed = folder.path('replayed.db')
    expect((await runPointsman(['log', 'info', '--log', replayed])).stdout).toMatch(/^applied +mock: seq \d+ at 2026-/m)
    for (const file of [log, replayed]) {
      const { stdout } = await runPointsman(['log', 'info', '-o', 'json'], { env: { POINTSMAN_LOG: file } })
      expect(schemaProblems(JSON.parse(stdout), JSON_SCHEMAS.LogInfo)).toEqual([])
    }
  })

  test('has an example in its help', async () => {
    expect((await runPointsman(['log', 'info', '--help'])).stdout).toContain('$ pointsman log info --log shop.db')
  })
})

describe('a mistake is one line', () => {
  test.each([
    [['chekout'], 1, 'error: the log has no service chekout: did you mean checkout?\n'],
    [['shop/nothing-like-it'], 1, 'error: the log has no service shop/nothing-like-it\n'],
    [['a/b/c'], 2, 'error: a/b/c: name a service as NAME or NAMESPACE/NAME\n'],
    [['--kind', 'Pod'], 2, 'error: --kind Pod: give Service, EndpointSlice, Node, ServiceCIDR\n'],
    [
      ['--type', 'modifid'],
      2,
      'error: --type modifid: give object, bookmark, sync, config, notice, ADDED, MODIFIED, DELETED: did you mean MODIFIED?\n',
    ],
    [['--limit', '0'], 2, 'error: --limit 0: give a number from 1 upwards\n'],
    [
      ['--since', '400'],
      2,
      'error: --since 400 is outside the log, which has seq 1 to 128, 2026-11-21T02:24:30.956Z to 2026-11-21T02:24:50.504Z\n',
    ],
  ])('%j', async (args, status, stderr) => {
    expect(await runPointsman(['log', '--log', log, ...args])).toMatchObject({ status, stderr, stdout: '' })
  })
})
