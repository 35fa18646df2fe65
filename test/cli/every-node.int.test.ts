import { writeFileSync } from 'node:fs'
import { node, service, slice } from '@pointsman/core/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
const objects = folder.path('objects.json')
const on = (nodeName: string, address: string, zone: string) => ({
  addresses: [address],
  conditions: { ready: true, serving: true, terminating: false },
  nodeName,
  zone,
  hints: { forZones: [{ name: zone }] },
})
const ITEMS = [
  ...['a', 'b', 'c', 'd'].map((name, at) =>
    node({
      name: `node-${name}`,
      zone: at < 2 ? 'zone-1' : 'zone-2',
      addresses: [`192.168.55.${10 + at}`],
      podCIDRs: [`10.244.${at}.0/24`],
    }),
  ),
  service({
    name: 'local',
    spec: {
      type: 'NodePort',
      clusterIP: '10.96.0.20',
      externalTrafficPolicy: 'Local',
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_080 }],
    },
  }),
  slice({
    name: 'local-1',
    service: 'local',
    endpoints: [on('node-b', '10.244.1.5', 'zone-1'), on('node-c', '10.244.2.5', 'zone-2')],
  }),
  service({ name: 'gone', spec: { clusterIP: '10.96.0.30' } }),
  service({ name: 'inner', spec: { clusterIP: '10.96.0.40', internalTrafficPolicy: 'Local' } }),
  slice({ name: 'inner-1', service: 'inner', endpoints: [on('node-b', '10.244.1.6', 'zone-1')] }),
  // An endpoint that is the cluster IP of another Service, as people build by hand.
  service({ name: 'chained', spec: { clusterIP: '10.96.0.50' } }),
  slice({
    name: 'chained-1',
    service: 'chained',
    endpoints: ['10.96.0.30'],
    ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
  }),
]

beforeAll(async () => {
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
  writeFileSync(objects, JSON.stringify({ kind: 'List', apiVersion: 'v1', items: ITEMS }))
})
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
interface Verdict {
  readonly fates: readonly { readonly fate: string; readonly odds: number }[]
  readonly endpoints: readonly { readonly address: string; readonly port: number; readonly odds: number }[]
}
interface OfNodes {
  readonly nodeCount: number
  readonly groups: readonly (Verdict & { readonly nodes: readonly string[] })[]
}
const plain = ({ fates, endpoints }: Verdict): Verdict => ({
  fates: fates.map(({ fate, odds }) => ({ fate, odds })),
  endpoints: endpoints.map(({ address, port, odds }) => ({ address, port, odds })),
})

describe('trace --node all', () => {
  const packets = [
    'shop/local',
    'shop/gone',
    'shop/inner',
    'shop/chained',
    '192.168.55.11:30080',
    '10.244.1.5:8080',
  ].flatMap((to) => ['node', 'outside', '10.244.1.9'].map((from) => `tcp ${from} -> ${to}`))

  test.each(packets)('answers of each node as --node does: %s', async (packet) => {
    const input = ['--objects', objects, ...CIDR, '-o', 'json']
    const { stdout, status } = await runPointsman(['trace', packet, ...input, '--node', 'all'])
    const document = JSON.parse(stdout) as OfNodes
    expect(schemaProblems(document, JSON_SCHEMAS.TraceOfNodes)).toEqual([])
    expect(document.nodeCount).toBe(4)
    expect(document.groups.flatMap(({ nodes }) => nodes).toSorted()).toEqual(['node-a', 'node-b', 'node-c', 'node-d'])
    const statuses = new Set<number | null>()
    for (const group of document.groups)
      for (const name of group.nodes) {
        const one = await runPointsman(['trace', packet, ...input, '--node', name])
        statuses.add(one.status)
        expect({ name, ...plain(JSON.parse(one.stdout) as Verdict) }).toEqual({ name, ...plain(group) })
      }
    expect(status).toBe(statuses.has(1) ? 1 : statuses.has(4) ? 4 : 0)
  })

  test('says on which nodes the packet gets there, and on which not', async () => {
    const { stdout } = await runPointsman([
      'trace',
      'tcp outside -> shop/inner',
      '--objects',
      objects,
      ...CIDR,
      '--node',
      'all',
    ])
    expect(stdout).toBe(
      [
        'from objects, 4 nodes',
        'tcp outside -> shop/inner',
        '  reaches endpoints on 1 of 4 nodes',
        '',
        'NODES  VERDICT                        ON',
        '    3  is dropped                     node-a, node-c, node-d',
        '    1  reaches 10.244.1.6:8080 100 %  node-b',
        '',
        '--node NAME shows the rules that the packet meets on one of them',
        '',
      ].join('\n'),
    )
  })

  test('of a log is as of a point in it', async () => {
    const { stdout, status } = await runPointsman([
      'trace',
      'tcp node -> shop/checkout',
      '--log',
      log,
      '--at',
      '108',
      ...CIDR,
      '--node',
      'all',
    ])
    expect(status).toBe(1)
    expect(stdout).toContain('at seq 108')
    expect(stdout).toContain('is rejected')
  })

  test('and --rules contradict each other', async () => {
    const { status, stderr } = await runPointsman([
      'trace',
      'tcp node -> 10.96.0.1:80',
      '--rules',
      objects,
      '--node',
      'all',
    ])
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr:
        'error: --node all asks for the rules of each node, and --rules gives those of one: leave one of the two out\n',
    })
  })
})

describe('services --node all', () => {
  test('names the nodes that serve each service port', async () => {
    const { stdout, status } = await runPointsman(['services', '--objects', objects, '--node', 'all'])
    expect(status).toBe(0)
    expect(stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '))).toEqual([
      'from objects, 4 nodes',
      'SERVICE  PROTO  CLUSTER-IP  ENDPOINTS  SERVED BY',
      'shop/chained:http  TCP  10.96.0.50:80  1/1  all nodes',
      'shop/gone:http  TCP  10.96.0.30:80  0/0  no node',
      'shop/inner:http  TCP  10.96.0.40:80  1/1  Local: 1 node: node-b',
      'shop/local:http  TCP  10.96.0.20:80  2/2  all nodes, with 2 sets of endpoints; Local: 2 nodes: node-b, node-c, with 2 sets of endpoints',
      '',
    ])
  })

  test('has them all in JSON, as the views of the single nodes have them', async () => {
    const { stdout } = await runPointsman(['services', '--objects', objects, '--node', 'all', '-o', 'json'])
    const document = JSON.parse(stdout) as {
      readonly items: readonly {
        readonly name: string
        readonly groups: readonly {
          readonly nodes: readonly string[]
          readonly clusterEndpoints?: readonly string[]
          readonly localEndpoints?: readonly string[]
        }[]
      }[]
    }
    expect(schemaProblems(document, JSON_SCHEMAS.ServicesOfNodes)).toEqual([])
    for (const name of ['node-a', 'node-b', 'node-c', 'node-d']) {
      const one = await runPointsman(['services', '--objects', objects, '--node', name, '-o', 'json'])
      const { items } = JSON.parse(one.stdout) as {
        readonly items: readonly { readonly name: string; readonly usedEndpoints: number }[]
      }
      for (const item of items) {
        const group = document.items
          .find((each) => each.name === item.name)
          ?.groups.find(({ nodes }) => nodes.includes(name))
        const used = new Set([...(group?.clusterEndpoints ?? []), ...(group?.localEndpoints ?? [])])
        expect({ name, service: item.name, used: used.size }).toEqual({
          name,
          service: item.name,
          used: item.usedEndpoints,
        })
      }
    }
  })
})
