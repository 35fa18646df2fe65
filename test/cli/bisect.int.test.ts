import { writeFileSync } from 'node:fs'
import { node, service, slice } from '@pointsman/core/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const bisect = (...args: readonly string[]): Promise<Ended> =>
  runPointsman(['bisect', ...args, '--log', log, '--cluster-cidr', '10.244.0.0/16'])
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')
const squeezed = (line: string): string => line.trim().replaceAll(/ {2,}/g, '  ')

const PACKET = 'tcp 10.244.1.9 -> 10.96.50.2:80'
const BROKEN = [
  'broken by   seq 108  2026-11-21T02:24:44.181Z  MODIFIED EndpointSlice shop/checkout-wbn79, resourceVersion 326, by kube-controller-manager-1.36',
  '                endpoints: 2 -> 0',
  '                -10.244.1.14 (checkout-v1-0 on node-a)',
  '                -10.244.3.16 (checkout-v1-2 on node-c)',
  'caused by   seq 107  2026-11-21T02:24:44.177Z  MODIFIED Service shop/checkout, resourceVersion 325, by kubectl-edit',
  '                selector app=checkout -> app=checkout,tier=backend',
]

describe('the incident', () => {
  test('is the emptied slice, the edit behind it with its author, and what mended it', async () => {
    const answer = await bisect(PACKET)
    expect(answer).toMatchObject({ status: 0, stderr: '' })
    const lines = linesOf(answer)
    expect(lines.slice(0, 17)).toEqual([
      'after seq 5, up to seq 128, 2026-11-21T02:24:50.504Z, node node-a, IPv4',
      'tcp 10.244.1.9 -> 10.96.50.2:80 (shop/checkout:http)',
      '  reached 2 endpoints until seq 108, and then was rejected: shop/checkout:http has no endpoints; fixed 6.3 s later, at seq 128',
      '',
      ...BROKEN,
      '',
      'fixed by    seq 128  2026-11-21T02:24:50.504Z  MODIFIED EndpointSlice shop/checkout-wbn79, resourceVersion 366, by kube-controller-manager-1.36',
      '                endpoints: 0 -> 2',
      '                +10.244.1.14 (checkout-v1-0 on node-a)',
      '                +10.244.3.16 (checkout-v1-2 on node-c)',
      'caused by   seq 127  2026-11-21T02:24:50.500Z  MODIFIED Service shop/checkout, resourceVersion 365, by kubectl-rollback',
      '                selector app=checkout,tier=backend -> app=checkout',
    ])
    expect(lines.slice(18, 21).map(squeezed)).toEqual([
      'Its verdict changed 4 times, newest first:',
      'SEQ  TIME  BY  RECORD  THE PACKET',
      '128  2026-11-21T02:24:50.504Z  kubectl-rollback  EndpointSlice shop/checkout-wbn79  reaches 2 endpoints',
    ])
    expect(lines.at(-1)).toBe('12 records could affect it: shop/checkout, its EndpointSlices and the Node')
  })

  test('lasts where --bad is before its end', async () => {
    const answer = await bisect('tcp 10.244.1.9 -> shop/checkout', '--bad', '110')
    expect(answer.status).toBe(0)
    expect(linesOf(answer)[2]).toMatch(/ until seq 108, .*; still broken 1\.5 s later$/)
    expect(linesOf(answer).slice(4, 10)).toEqual(BROKEN)
    expect(answer.stdout).not.toContain('fixed by')
  })

  test('is found between --good and --bad, with an edit that came with --good', async () => {
    const answer = await bisect(PACKET, '--good', '107', '--bad', '02:24:45')
    expect(answer.status).toBe(0)
    expect(linesOf(answer).slice(4, 10)).toEqual(BROKEN)
    expect(answer.stdout).toContain('Its verdict changed once')
  })

  test('may be what was good: then its end is the change', async () => {
    const answer = await bisect(PACKET, '--good', '108')
    expect(linesOf(answer)[2]).toBe('  was rejected until seq 128, and then reached 2 endpoints')
    expect(answer.stdout).toContain('\nchanged by  seq 128')
  })
})

describe('what never broke', () => {
  test('ends with 1, and with what there was', async () => {
    const never = await bisect('tcp 10.244.1.9 -> 10.96.50.2:81')
    expect(never.status).toBe(1)
    expect(linesOf(never)[2]).toBe(
      '  is not for a Service throughout: shop/checkout at 10.96.50.2 has no port 81 of TCP',
    )
    const before = await bisect(PACKET, '--bad', '107')
    expect(before.status).toBe(1)
    expect(linesOf(before)[2]).toBe('  reaches 2 endpoints since seq 14; it reached none before')
  })
})

test('the name of a Service that is gone means what it meant last', async () => {
  const answer = await bisect('tcp 10.244.1.9 -> shop/metrics:http', '--bad', '123')
  expect(answer.status).toBe(0)
  expect(answer.stdout).toMatch(
    /assumed: shop\/metrics:http is not there at seq 123, .*: taken for what it was at seq 123\n/,
  )
  expect(answer.stdout).toMatch(
    /\nbroken by {3}seq 123 .* DELETED Service shop\/metrics, resourceVersion 357, by unknown: the API does not say who deletes\n/,
  )
})

test('localhost is followed as 127.0.0.1, and what ::1 is gets said', async () => {
  const { stdout } = await bisect('tcp node -> localhost:30080')
  expect(stdout).toContain('tcp 127.0.0.1 (the node itself) -> 127.0.0.1:30080 (shop/frontend:http)\n')
  expect(stdout).toContain('assumed: localhost is also ::1, where no Service answers, whatever the records')
  const other = await bisect('tcp node -> [::1]:30080')
  expect(other.stdout).toMatch(/ is not for a Service throughout: /)
})

test('a node port at the address of a load balancer depends on whether the node has it', async () => {
  const { stdout } = await bisect('tcp outside -> 198.51.100.80:30080')
  expect(stdout).toContain('it depends on whether the node has 198.51.100.80, an external address of shop/frontend: ')
})

test('--exact tells other endpoints, and who came', async () => {
  const answer = await bisect('tcp 10.244.1.9 -> shop/search', '--exact')
  expect(answer.status).toBe(0)
  expect(linesOf(answer)[2]).toBe('  reached 9 endpoints until seq 121, and then reached 10 endpoints')
  expect(answer.stdout).toContain(
    'caused by   pods were added, and the Service was not edited: the log does not show the reason\n',
  )
})

test('-o json gives every flip with its cause', async () => {
  const { stdout, status } = await bisect(PACKET, '-o', 'json')
  const document = JSON.parse(stdout) as object
  expect(status).toBe(0)
  expect(schemaProblems(document, JSON_SCHEMAS.Bisection)).toEqual([])
  expect(document).toMatchObject({
    at: { seq: 128 },
    from: { seq: 5 },
    packet: { source: '10.244.1.9', destination: '10.96.50.2', destinationPort: 80 },
    broken: { seq: 108, cause: { type: 'service-edit', edit: { seq: 107, author: { manager: 'kubectl-edit' } } } },
    mended: { seq: 128, cause: { edit: { author: { manager: 'kubectl-rollback' } } } },
    services: ['shop/checkout'],
  })
})

describe('--node all', () => {
  const cluster = folder.path('cluster.db')
  const pod = (name: string) => ({
    addresses: [`10.244.${name.charCodeAt(0) - 96}.5`],
    conditions: { ready: true },
    nodeName: `node-${name}`,
  })
  const names = ['a', 'b', 'c', 'd']
  beforeAll(async () => {
    const inner = (...pods: readonly string[]) => slice({ name: 'inner-1', service: 'inner', endpoints: pods.map(pod) })
    const events = [
      ...names.map((name) => node({ name: `node-${name}` })),
      service({ name: 'inner', spec: { clusterIP: '10.96.0.40', internalTrafficPolicy: 'Local' } }),
      inner(...names),
      inner('a', 'b'),
      inner('a'),
      inner('a', 'b'),
    ].map((object, index) => ({
      observedAt: `2026-11-21T02:24:0${index}.000Z`,
      type: index < 6 ? 'ADDED' : 'MODIFIED',
      object: { ...object, metadata: { ...object.metadata, resourceVersion: String(index + 1) } },
    }))
    const recording = folder.path('cluster.jsonl')
    writeFileSync(recording, events.map((event) => `${JSON.stringify(event)}\n`).join(''))
    await runPointsman(['import', recording, '--log', cluster])
  })
  const every = (...args: readonly string[]): Promise<Ended> =>
    runPointsman(['bisect', 'tcp 10.9.9.9 -> shop/inner', '--node', 'all', '--log', cluster, ...args])

  test('puts nodes whose path the same record broke together', async () => {
    const answer = await every()
    expect(answer.status).toBe(0)
    const lines = linesOf(answer)
    expect(lines.filter((line) => /broken on|^(?:at seq|on )/.test(line.trim()))).toEqual([
      '  broken on 2 of 4 nodes',
      'at seq 7 on 2 of 4 nodes: node-c, node-d',
      'at seq 8 on 1 of 4 nodes: node-b',
      'on 1 of 4 nodes: node-a',
    ])
    expect(lines.filter((line) => line.includes('until seq'))).toEqual([
      expect.stringContaining('reached 1 endpoint until seq 7, and then was dropped'),
      expect.stringMatching(/reached 1 endpoint until seq 8, and then was dropped.*fixed 1\.0 s later, at seq 9/),
    ])
  })

  test('has the groups in JSON', async () => {
    const { stdout, status } = await every('-o', 'json')
    const document = JSON.parse(stdout) as object
    expect(status).toBe(0)
    expect(schemaProblems(document, JSON_SCHEMAS.BisectionOfNodes)).toEqual([])
    expect(document).toMatchObject({
      nodeCount: 4,
      groups: [
        { nodes: ['node-c', 'node-d'], broken: { seq: 7 }, last: { fate: 'dropped' } },
        { nodes: ['node-b'], broken: { seq: 8 }, mended: { seq: 9 }, last: { fate: 'endpoints' } },
        { nodes: ['node-a'], last: { fate: 'endpoints' } },
      ],
    })
  })

  test('ends with 1 where no node had it broken', async () => {
    expect(await every('--bad', '6')).toMatchObject({ status: 1, stdout: expect.stringContaining('broken on no node') })
  })
})

test.each([
  [
    ['tcp 10.244.1.9 -> shop/chekout:http'],
    1,
    'there is no Service, pod or Node shop/chekout: did you mean shop/checkout?',
  ],
  [[PACKET, '--good', '100', '--bad', '90'], 2, '--good 100 is after --bad 90'],
  [
    ['tcp 10.244.1.9'],
    2,
    `"tcp 10.244.1.9" is no packet: give 'PROTOCOL SOURCE -> DESTINATION:PORT', as 'tcp 10.244.1.5 -> shop/checkout:http'`,
  ],
  [[PACKET, '--objects', 'x.yaml'], 2, "unknown option '--objects'; --help has examples"],
])('%j ends with one line', async (args, status, message) => {
  expect(await bisect(...args)).toMatchObject({ status, stdout: '', stderr: `error: ${message}\n` })
})
