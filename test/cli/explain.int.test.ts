import { node, service, slice } from '@pointsman/core/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const explain = (...args: readonly string[]): Promise<Ended> =>
  runPointsman(['explain', ...args, '--log', log, ...CIDR])
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')
const squeezed = (line: string): string => line.trim().replaceAll(/ {2,}/g, '  ')

/** What else decides: the last part that is told of a port. */
const factsIn = (lines: readonly string[]): readonly string[] => {
  const parts = lines.join('\n').split('\n\n')
  const facts = parts[parts.findIndex((part) => part.startsWith('ENDPOINT')) + 1] ?? ''
  return facts.split('\n')
}

describe('the incident', () => {
  test('is told with the selector that fits no pod, since when, and the edit behind it', async () => {
    const answer = await explain('checkout', '--at', '110')
    expect(answer).toMatchObject({ status: 0, stderr: '' })
    expect(linesOf(answer).slice(0, 13).map(squeezed)).toEqual([
      'at seq 110, 2026-11-21T02:24:45.643Z, node node-a',
      'shop/checkout is not served: all traffic is rejected: shop/checkout:http has no endpoints; since seq 108, 2026-11-21T02:24:44.181Z',
      '',
      'shop/checkout:http TCP  ClusterIP, IPv4',
      'FRONTEND  FROM  VERDICT',
      'cluster IP 10.96.50.2:80  anywhere  rejected: shop/checkout:http has no endpoints',
      '',
      'no endpoint is listed: either no Pod has the labels app=checkout,tier=backend, or none has the port (explain says which where --objects has Pods)',
      '',
      'affinity  a client keeps its endpoint until it has sent nothing for 3 h 0 min (sessionAffinity ClientIP)',
      '',
      'What changed this answer, newest first:',
      'SEQ  TIME  BY  RECORD  CHANGE',
    ])
    expect(squeezed(linesOf(answer)[13] ?? '')).toBe(
      '108  2026-11-21T02:24:44.181Z  kubectl-edit  EndpointSlice shop/checkout-wbn79  endpoints: 2 -> 0; -10.244.1.14 (checkout-v1-0 on node-a) and 1 more, after seq 107, Service shop/checkout: selector app=checkout -> app=checkout,tier=backend',
    )
  })

  test('is over at the end: each endpoint is named, and why one is not used', async () => {
    const answer = await explain('shop/checkout')
    expect(linesOf(answer)[1]).toBe('shop/checkout is served by 2 endpoints; since seq 128, 2026-11-21T02:24:50.504Z')
    const between = await explain('shop/checkout', '--at', '90')
    expect(linesOf(between).map(squeezed)).toContain(
      '10.244.2.15:8080  checkout-v1-1  node-b  zone-b  checkout-wbn79  not used: not ready',
    )
  })
})

describe('source ranges', () => {
  test('are told apart from what they do not cover', async () => {
    const lines = linesOf(await explain('frontend')).map(squeezed)
    expect(lines.slice(4, 11)).toEqual([
      'FRONTEND  FROM  VERDICT',
      'cluster IP 10.96.50.1:80  anywhere  10.244.1.10:8080, 10.244.3.12:8080, 10.244.4.13:8080 (33.3% each), masqueraded from the node and outside',
      'load balancer 198.51.100.80:80  the source ranges  10.244.1.10:8080',
      'others  dropped: not in the source ranges of shop/frontend:http',
      'node port 192.168.55.10:30080  pods  10.244.1.10:8080, 10.244.3.12:8080, 10.244.4.13:8080 (33.3% each)',
      'the node  10.244.1.10:8080, 10.244.3.12:8080, 10.244.4.13:8080 (33.3% each), masqueraded',
      'outside  10.244.1.10:8080',
    ])
    // Of endpoints without hints none are told of.
    expect(factsIn(lines)).toEqual([
      'policy  traffic from outside uses only endpoints on this node and keeps its source address (externalTrafficPolicy Local)',
      'sources  only 203.0.113.0/24 may use 198.51.100.80; the source ranges do not protect the cluster IP, node port 30080',
      'health  the health-check node port 31325 answers 200: 1 ready endpoint on this node',
    ])
    expect(lines.find((line) => line.startsWith('122 '))).toBe(
      '122  2026-11-21T02:24:47.968Z  terraform  Service shop/frontend  spec.loadBalancerSourceRanges none -> 203.0.113.0/24',
    )
  })
})

describe('objects', () => {
  const ready = { ready: true, serving: true, terminating: false }
  const endpoint = (address: string, zone: string, nodeName: string): object => ({
    addresses: [address],
    conditions: ready,
    nodeName,
    zone,
    hints: { forZones: [{ name: zone }] },
  })
  const spec = { clusterIP: '10.96.0.1', externalIPs: ['203.0.113.9'], externalTrafficPolicy: 'Local' }
  const objects = [
    node({ name: 'node-a', zone: 'zone-b' }),
    service({ name: 'web', createdAt: '2026-01-02T00:00:00Z', spec }),
    service({ name: 'old', spec: { clusterIP: '10.96.0.2', externalIPs: ['203.0.113.9'] } }),
    service({ name: 'db', spec: { clusterIP: 'None', clusterIPs: ['None'] } }),
    slice({
      name: 'web-1',
      service: 'web',
      endpoints: [endpoint('10.244.2.1', 'zone-a', 'node-b'), endpoint('10.244.3.1', 'zone-b', 'node-c')] as never,
    }),
  ]
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const ask = (...args: readonly string[]): Promise<Ended> =>
    runPointsman(['explain', ...args, '--objects', '-', ...CIDR], { input })

  test('tell of hints, of another Service with the same address, and of traffic that stays on its node', async () => {
    const answer = await ask('web')
    const lines = linesOf(answer).map(squeezed)
    expect(lines[0]).toBe('from objects, node node-a')
    expect(lines[1]).toBe(
      'shop/web is served by 1 endpoint, but traffic from outside to external IP 203.0.113.9:80 is rejected: shop/old:http has no endpoints; 203.0.113.9:80 is also claimed by shop/old:http, and kube-proxy does not define which of the two Services wins on a node (Pointsman: the older, shop/old)',
    )
    expect(lines).toContain('cluster IP 10.96.0.1:80  anywhere  10.244.3.1:8080, masqueraded from the node and outside')
    expect(factsIn(lines)).toEqual([
      'policy  traffic from outside uses only endpoints on this node and keeps its source address (externalTrafficPolicy Local)',
      'hints  zone hints: the hints are followed',
      'overlap  203.0.113.9:80 is also claimed by shop/old:http, which is older and comes first; with kube-proxy either may come first',
    ])
    expect(lines.find((line) => line.startsWith('10.244.2.1:8080'))).toContain('its hints assign it to other zones')
    expect(answer.stdout).not.toContain('What changed')
  })

  test('may get no rules at all', async () => {
    const answer = await ask('db')
    expect(linesOf(answer).slice(1)).toEqual([
      'shop/db has no rules',
      '  no rules  headless: clusterIP is None, so clients connect to the endpoints directly',
    ])
  })

  test('have their shape as JSON', async () => {
    for (const name of ['web', 'db', 'old']) {
      const { stdout } = await ask(name, '-o', 'json')
      expect(schemaProblems(JSON.parse(stdout), JSON_SCHEMAS.Explanation)).toEqual([])
    }
  })
})

test('-o json gives the conclusion, every way, and what changed the answer', async () => {
  const { stdout } = await explain('checkout', '--at', '110', '-o', 'json')
  const document = JSON.parse(stdout) as object
  expect(schemaProblems(document, JSON_SCHEMAS.Explanation)).toEqual([])
  expect(document).toMatchObject({
    at: { seq: 110 },
    node: 'node-a',
    namespace: 'shop',
    name: 'checkout',
    conclusion: { reached: 'never' },
    ports: [{ fronts: [{ type: 'clusterIP', ways: [{ from: 'pod', fate: 'rejected' }, {}, {}] }] }],
    changes: [{ seq: 108, cause: { type: 'service-edit', edit: { seq: 107 } } }, {}, {}, {}, {}, {}],
  })
})

test.each([
  [['chekout'], 1, 'service chekout not found at seq 128: did you mean checkout?'],
  [
    ['shop/nothing-like-it'],
    1,
    'service shop/nothing-like-it not found at seq 128: run `pointsman services` for a list',
  ],
  [
    ['shop/metrics', '--at', '123'],
    1,
    'service shop/metrics not found at seq 123: it was deleted at seq 123, 2026-11-21T02:24:48.774Z; use --at 122 to explain it before the deletion',
  ],
  [['checkout', '--at', '9999'], 2, /^error: --at 9999 is outside the log/],
])('%j ends with one line', async (args, status, message) => {
  const answer = await explain(...args)
  expect(answer).toMatchObject({ status, stdout: '' })
  if (typeof message === 'string') expect(answer.stderr).toBe(`error: ${message}\n`)
  else expect(answer.stderr).toMatch(message)
})
