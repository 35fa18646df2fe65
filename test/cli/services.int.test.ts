import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { serviceItem } from '../../packages/cli/src/commands/services/schema.js'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => {
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
})
afterAll(folder.remove)

/** `shop/cart 10.96.50.4:80 3/3 1`: ports, cluster IP, ready of all endpoints, endpoints on node-a. */
async function shopAt(point: string, service?: string): Promise<readonly string[]> {
  const named = service === undefined ? [] : [service]
  const { stdout } = await runPointsman([
    'services',
    ...named,
    '--log',
    log,
    '-n',
    'shop',
    '--at',
    `2026-11-21T02:24:${point}Z`,
    '-o',
    'jsonl',
  ])
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const item = JSON.parse(line) as Record<string, unknown>
      return `${String(item['name'])}:${String(item['portName'])} ${String(item['clusterIP'])}:${String(item['port'])} ${String(item['readyEndpoints'])}/${String(item['totalEndpoints'])} ${String(item['endpointsOnNode'])}`
    })
}

describe('the shop at the times of its marks', () => {
  test('once its objects are created, every Service has its endpoints', async () => {
    expect(await shopAt('34.725')).toEqual([
      'auth:http 10.96.50.7:80 2/2 1',
      'cart:http 10.96.50.4:80 3/3 1',
      'catalog:http 10.96.50.5:80 4/4 1',
      'checkout:http 10.96.50.2:80 3/3 1',
      'emails:http 10.96.50.8:80 1/1 0',
      'frontend:http 10.96.50.1:80 4/4 1',
      'ledger:http 10.96.50.9:80 2/2 0',
      'metrics:http 10.96.50.10:9090 2/2 1',
      'metrics:statsd 10.96.50.10:8125 2/2 1',
      'payments:http 10.96.50.3:80 3/3 1',
      'search:http 10.96.50.6:80 3/3 1',
    ])
  })

  test.each([
    ['before the rolling update', '34.725', '3/3 1'],
    ['with the first new pod beside the old ones', '35.000', '4/4 1'],
    ['with an old pod that still serves while it terminates', '35.139', '3/4 0'],
    ['half-way', '36.148', '4/4 0'],
    ['with the last old pod terminating', '37.781', '3/4 1'],
    ['afterwards', '41.462', '3/3 1'],
  ])('payments %s', async (_, point, endpoints) => {
    expect(await shopAt(point, 'payments')).toEqual([`payments:http 10.96.50.3:80 ${endpoints}`])
  })

  test.each([
    ['37.786', '4/4 1'],
    ['37.787', '3/4 0'],
    ['38.096', '4/4 1'],
    ['40.859', '3/4 0'],
    ['41.164', '4/4 1'],
  ])('catalog flaps at %s', async (point, endpoints) => {
    expect(await shopAt(point, 'catalog')).toEqual([`catalog:http 10.96.50.5:80 ${endpoints}`])
  })

  test('the drain of node-b takes its endpoints and leaves the others', async () => {
    expect(await shopAt('43.569')).toEqual([
      'auth:http 10.96.50.7:80 1/1 1',
      'cart:http 10.96.50.4:80 2/2 1',
      'catalog:http 10.96.50.5:80 3/3 1',
      'checkout:http 10.96.50.2:80 2/2 1',
      'emails:http 10.96.50.8:80 1/1 0',
      'frontend:http 10.96.50.1:80 3/3 1',
      'ledger:http 10.96.50.9:80 2/2 0',
      'metrics:http 10.96.50.10:9090 2/2 1',
      'metrics:statsd 10.96.50.10:8125 2/2 1',
      'payments:http 10.96.50.3:80 3/3 1',
      'search:http 10.96.50.6:80 7/7 2',
    ])
  })

  test.each([
    ['just before the edit of its selector', '44.176', '2/2 1'],
    ['after the edit, the slice not yet emptied', '44.180', '2/2 1'],
    ['with its slice emptied', '44.181', '0/0 0'],
    ['long after', '50.495', '0/0 0'],
    ['put right', '50.504', '2/2 1'],
  ])('checkout %s', async (_, point, endpoints) => {
    expect(await shopAt(point, 'checkout')).toEqual([`checkout:http 10.96.50.2:80 ${endpoints}`])
  })

  test('metrics is gone, and comes back on another cluster IP with one port', async () => {
    const gone = await runPointsman(['services', 'shop/metrics', '--log', log, '--at', '2026-11-21T02:24:49Z'])
    expect(gone).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: service shop\/metrics not found at seq \d+: .*\n$/) as string,
    })
    expect(await shopAt('49.298', 'metrics')).toEqual(['metrics:http 10.96.50.99:9090 2/2 1'])
  })
})

describe('points in time', () => {
  const seqAt = async (...args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await runPointsman(['services', 'checkout', '--log', log, ...args])
    return stderr === '' ? (stdout.split('\n')[0] ?? '') : stderr.trim()
  }

  test.each([
    [[], 'at seq 128, 2026-11-21T02:24:50.504Z, node node-a'],
    [['--at', '108'], 'at seq 108, 2026-11-21T02:24:44.181Z, node node-a'],
    [['--at', '02:24:45'], 'at seq 108, 2026-11-21T02:24:44.181Z, node node-a'],
    [['--at', '-5s'], 'at seq 109, 2026-11-21T02:24:45.388Z, node node-a'],
    [['--at', '2026-11-21T03:24:45+01:00'], 'at seq 108, 2026-11-21T02:24:44.181Z, node node-a'],
    [['--at', '2026-11-21T02:24:44.181'], 'at seq 108, 2026-11-21T02:24:44.181Z, node node-a'],
  ])('%j', async (args, head) => {
    expect(await seqAt(...args)).toBe(head)
  })

  const range = 'the log has seq 1 to 128, 2026-11-21T02:24:30.956Z to 2026-11-21T02:24:50.504Z'
  test.each(['129', '0', '02:24', '-5m', '2025-01-01T00:00:00Z', 'soon'])(
    '%s is refused with the range of the log',
    async (point) => {
      const { status, stdout, stderr } = await runPointsman(['services', '--log', log, '--at', point])
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
      expect(stderr.split('\n')).toHaveLength(2)
      expect(stderr.replace('outside the log, which has', 'outside: the log has')).toContain(range)
    },
  )

  test('a time after the end is the end, and standard error says so', async () => {
    const { status, stdout, stderr } = await runPointsman([
      'services',
      '--log',
      log,
      '--at',
      '2026-11-21T02:24:52.002Z',
    ])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^at seq 128,/)
    expect(stderr).toBe(
      'warning: the log ends at 2026-11-21T02:24:50.504Z, before --at 2026-11-21T02:24:52.002Z: showing its last state\n',
    )
  })
})

test('the table is plain text in a pipe, and coloured when that is forced', async () => {
  const { stdout } = await runPointsman(['services', '--log', log, '-n', 'kube-system'])
  expect(stdout).toBe(
    [
      'at seq 128, 2026-11-21T02:24:50.504Z, node node-a',
      'SERVICE                       TYPE       PROTO  CLUSTER-IP     ENDPOINTS  ON-NODE',
      'kube-system/kube-dns:dns      ClusterIP  UDP    10.96.0.10:53  2/2        1',
      'kube-system/kube-dns:dns-tcp  ClusterIP  TCP    10.96.0.10:53  2/2        1',
      '',
    ].join('\n'),
  )
  const forced = await runPointsman(['services', '--log', log], { env: { FORCE_COLOR: '1' } })
  expect(forced.stdout).toContain('\u001B[31mnone\u001B[39m')
  const refused = await runPointsman(['services', '--log', log], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })
  expect(refused.stdout).not.toContain('\u001B')
})

test('--wide says of each endpoint whether the node uses it, and why not', async () => {
  const { stdout } = await runPointsman([
    'services',
    'payments',
    '--wide',
    '--at',
    '2026-11-21T02:24:35.139Z',
    '--log',
    log,
  ])
  expect(
    stdout
      .split('\n')
      .slice(2, 7)
      .map((line) => line.trim().replaceAll(/ {2,}/g, '  ')),
  ).toEqual([
    'shop/payments:http  ClusterIP  TCP  10.96.50.3:80  3/4  0',
    expect.stringMatching(
      /^10\.244\.1\.17:8080 {2}payments-\S+ {2}node-a \(this node\) {2}not used: terminating, and another endpoint for this traffic is ready$/,
    ) as string,
    expect.stringMatching(/^10\.244\.2\.18:8080 {2}payments-\S+ {2}node-b {2}used$/) as string,
    expect.stringMatching(/node-c {2}used$/) as string,
    expect.stringMatching(/node-c {2}used$/) as string,
  ])
})

test('the JSON document and its lines are of the shape that the documents give', async () => {
  const json = await runPointsman(['services', '--log', log, '--at', '108', '-o', 'json'])
  const document = JSON.parse(json.stdout) as { readonly items: readonly unknown[] }
  expect(schemaProblems(document, JSON_SCHEMAS.ServiceList)).toEqual([])
  expect(document).toMatchObject({
    apiVersion: 'pointsman/v1',
    kind: 'ServiceList',
    at: { seq: 108, time: '2026-11-21T02:24:44.181Z' },
    node: 'node-a',
  })
  const lines = await runPointsman(['services', '--log', log, '--at', '108', '-o', 'jsonl'])
  const items = lines.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(items).toEqual(document.items)
  expect(items.flatMap((item) => schemaProblems(item, serviceItem))).toEqual([])
})

describe('the node', () => {
  const nodes = folder.path('nodes.json')
  const config = folder.path('config.yaml')
  beforeAll(() => {
    const node = (name: string): object => ({ apiVersion: 'v1', kind: 'Node', metadata: { name, uid: name } })
    writeFileSync(nodes, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [node('tram-1'), node('tram-2')] }))
    writeFileSync(
      config,
      'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nhostnameOverride: tram-2\n',
    )
  })

  test("is the configuration's where several are in the input, and --node goes before it", async () => {
    const configured = await runPointsman(['services', '--objects', nodes, '--config', config])
    expect(configured.stdout.split('\n')[0]).toBe('from objects, node tram-2')
    const given = await runPointsman(['services', '--objects', nodes, '--config', config, '--node', 'tram-1'])
    expect(given.stdout.split('\n')[0]).toBe('from objects, node tram-1')
  })

  test('has to be said where several are in the input and nothing names one', async () => {
    const { status, stderr } = await runPointsman(['services', '--objects', nodes])
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'error: several Nodes in the input: give --node with one of tram-1, tram-2\n',
    })
  })
})

describe('objects in place of a log', () => {
  const golden = (name: string): string =>
    new URL(`../../fixtures/golden/kube-proxy-1.36/${name}/objects.json`, import.meta.url).pathname

  test('are read from files and from standard input', async () => {
    const objects = JSON.stringify({
      kind: 'List',
      items: [
        {
          kind: 'Service',
          apiVersion: 'v1',
          metadata: { name: 'web' },
          spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }] },
        },
      ],
    })
    const { stdout, stderr, status } = await runPointsman(
      ['services', '--objects', golden('topology-hints'), '--objects', '-'],
      { input: objects },
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('from objects, node node-a\n')
    expect(stdout).toMatch(/^default\/web +ClusterIP +TCP +10\.0\.0\.1:80 +none/m)
  })

  test('have no history, and cannot be mixed with a log', async () => {
    const at = await runPointsman(['services', '--objects', golden('cluster-ip'), '--at', '5'])
    expect(at).toMatchObject({
      status: 2,
      stderr: 'error: --at and --applied require a log: --objects has no history\n',
    })
    const both = await runPointsman(['services', '--objects', golden('cluster-ip'), '--log', log])
    expect(both).toMatchObject({ status: 2, stderr: 'error: give either --log or --objects, not both\n' })
  })

  test('with several Nodes need --node, and without any need none', async () => {
    const node = (name: string): object => ({ kind: 'Node', apiVersion: 'v1', metadata: { name } })
    const service = {
      kind: 'Service',
      apiVersion: 'v1',
      metadata: { name: 'web' },
      spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }] },
    }
    const ask = (items: readonly object[], ...args: readonly string[]) =>
      runPointsman(['services', '--objects', '-', ...args], { input: JSON.stringify({ kind: 'List', items }) })
    expect(await ask([node('b'), node('a'), service])).toMatchObject({
      status: 2,
      stderr: 'error: several Nodes in the input: give --node with one of a, b\n',
    })
    expect(await ask([node('b'), node('a'), service], '--node', 'a')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('ON-NODE') as string,
    })
    expect(await ask([node('node-1'), service], '--node', 'node-2')).toMatchObject({
      status: 2,
      stderr: 'error: --node node-2 is not in the input, which has node-1: did you mean node-1?\n',
    })
    expect(await ask([service])).toMatchObject({ status: 0, stdout: expect.not.stringContaining('ON-NODE') as string })
  })

  test('of Endpoints alone are what --layout classic reads, in explain too', async () => {
    const web = { namespace: 'shop', name: 'web' }
    const items = [
      { kind: 'Service', apiVersion: 'v1', metadata: web, spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }] } },
      {
        kind: 'Endpoints',
        apiVersion: 'v1',
        metadata: web,
        subsets: [{ addresses: [{ ip: '10.244.1.5' }, { ip: '10.244.1.6' }], ports: [{ port: 8080 }] }],
      },
    ]
    const input = JSON.stringify({ kind: 'List', apiVersion: 'v1', items })
    const readyWith = async (...args: readonly string[]): Promise<unknown> => {
      const { stdout } = await runPointsman(['services', '--objects', '-', '-o', 'jsonl', ...args], { input })
      return (JSON.parse(stdout) as { readonly readyEndpoints: unknown }).readyEndpoints
    }
    expect(await readyWith()).toBe(0)
    expect(await readyWith('--layout', 'classic')).toBe(2)
    const explained = await runPointsman(['explain', 'shop/web', '--objects', '-', '--layout', 'classic'], { input })
    expect(explained).toMatchObject({ status: 0, stdout: expect.stringContaining('10.244.1.6:8080') as string })
    expect(explained.stderr).toContain('those of layout classic differ in part: see `pointsman trace`')
  })
})
