import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { describeChange, type ObjectChange } from './describe-change.js'

const service = (spec: object, metadata: object = {}): KubernetesObject =>
  ({ kind: 'Service', metadata: { name: 'web', namespace: 'a', ...metadata }, spec }) as unknown as KubernetesObject
const slice = (rest: object, metadata: object = {}): KubernetesObject =>
  ({
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'a', ...metadata },
    ...rest,
  }) as unknown as KubernetesObject
const endpoint = (address: string, conditions: object = { ready: true }, rest: object = {}): object => ({
  addresses: [address],
  conditions,
  ...rest,
})
const modified = (previous: KubernetesObject, object: KubernetesObject): ObjectChange => ({
  event: 'MODIFIED',
  previous,
  object,
})
/** Of an Endpoints: ready addresses, and those that are not. */
const subsets = (addresses: readonly object[], notReadyAddresses: readonly object[] = []): KubernetesObject =>
  slice(
    { subsets: [{ addresses, notReadyAddresses, ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] }] },
    { labels: { 'kubernetes.io/service-name': 'web' } },
  )
const http = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }]

const ROWS: readonly (readonly [string, ObjectChange, readonly string[]])[] = [
  [
    'a Service that is created',
    {
      event: 'ADDED',
      object: service({ type: 'ClusterIP', clusterIP: '10.0.0.1', ports: http, selector: { b: '2', a: '1' } }),
    },
    ['ClusterIP 10.0.0.1, http 80/TCP -> 8080, selector a=1,b=2'],
  ],
  [
    'a headless Service',
    { event: 'ADDED', object: service({ type: 'ClusterIP', clusterIP: 'None' }) },
    ['ClusterIP headless'],
  ],
  [
    'an Endpoints that is created',
    { event: 'ADDED', object: subsets([{ ip: '10.1.0.1' }], [{ ip: '10.1.0.2' }]) },
    ['2 endpoints (1 ready) of web, ports http 8080/TCP'],
  ],
  [
    'an Endpoints whose addresses change',
    modified(
      subsets([{ ip: '10.1.0.1' }, { ip: '10.1.0.2' }]),
      subsets(
        [{ ip: '10.1.0.3', nodeName: 'node-a', targetRef: { kind: 'Pod', name: 'web-3' } }],
        [{ ip: '10.1.0.1' }],
      ),
    ),
    ['+10.1.0.3 (web-3 on node-a)', '10.1.0.1 ready -> not ready', '-10.1.0.2'],
  ],
  [
    'an Endpoints that is emptied',
    modified(
      subsets([{ ip: '10.1.0.1' }, { ip: '10.1.0.2' }]),
      slice({ subsets: [] }, { labels: { 'kubernetes.io/service-name': 'web' } }),
    ),
    ['endpoints: 2 -> 0', '-10.1.0.1', '-10.1.0.2'],
  ],
  [
    'an edited selector before the label that was edited with it',
    modified(
      service({ selector: { app: 'web' } }, { labels: { x: '1' } }),
      service({ selector: { app: 'web', tier: 'back' } }, { labels: { x: '2' } }),
    ),
    ['selector app=web -> app=web,tier=back', 'label x 1 -> 2'],
  ],
  [
    'a target port',
    modified(service({ ports: http }), service({ ports: [{ ...http[0], targetPort: 8081 }] })),
    ['spec.ports[http].targetPort 8080 -> 8081'],
  ],
  [
    'source ranges put on',
    modified(service({}), service({ loadBalancerSourceRanges: ['10.0.0.0/8', '192.0.2.0/24'] })),
    ['spec.loadBalancerSourceRanges none -> 10.0.0.0/8,192.0.2.0/24'],
  ],
  [
    'a label with a domain, and one that is taken away',
    modified(
      service({}, { labels: { 'example.org/team': 'a', gone: 'x' } }),
      service({}, { labels: { 'example.org/team': 'b' } }),
    ),
    ['label example.org/team a -> b', 'label gone x -> none'],
  ],
  [
    'nothing that a person asks for',
    modified(
      service({}, { resourceVersion: '1', managedFields: [] }),
      service(
        {},
        {
          resourceVersion: '2',
          generation: 3,
          annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': 'x' },
        },
      ),
    ),
    ['nothing but its resourceVersion'],
  ],
  [
    'endpoints that come and go',
    modified(
      slice({ endpoints: [endpoint('10.1.0.1'), endpoint('10.1.0.2')], ports: http }),
      slice({
        endpoints: [endpoint('10.1.0.2'), endpoint('10.1.0.3', { ready: false }, { nodeName: 'n1' })],
        ports: http,
      }),
    ),
    ['+10.1.0.3 (n1) not ready', '-10.1.0.1'],
  ],
  [
    'a slice that empties, without its ports being told',
    modified(slice({ endpoints: [endpoint('10.1.0.1')], ports: http }), slice({ endpoints: null, ports: null })),
    ['endpoints: 1 -> 0', '-10.1.0.1'],
  ],
  [
    'ports that vanish under endpoints that stay',
    modified(
      slice({ endpoints: [endpoint('10.1.0.1')], ports: http }),
      slice({ endpoints: [endpoint('10.1.0.1')], ports: [] }),
    ),
    ['ports http 80/TCP -> none'],
  ],
  [
    'conditions',
    modified(
      slice({ endpoints: [endpoint('10.1.0.1'), endpoint('10.1.0.2', {})] }),
      slice({
        endpoints: [
          endpoint('10.1.0.1', { ready: false, serving: false }),
          endpoint('10.1.0.2', { ready: false, serving: true, terminating: true }),
        ],
      }),
    ),
    ['10.1.0.1 ready -> not ready', '10.1.0.2 ready -> terminating, still serving'],
  ],
  [
    'many endpoints, in a line',
    modified(slice({}), slice({ endpoints: Array.from({ length: 20 }, (_, n) => endpoint(`10.1.0.${n}`)) })),
    ['endpoints: 0 -> 20', '+10.1.0.0', '+10.1.0.1', '+10.1.0.2', '+10.1.0.3', 'and 16 more'],
  ],
  [
    'a label that moves to another Service',
    modified(
      slice({}, { labels: { 'kubernetes.io/service-name': 'a' } }),
      slice({}, { labels: { 'kubernetes.io/service-name': 'b' } }),
    ),
    ['label kubernetes.io/service-name a -> b'],
  ],
  [
    'what was deleted',
    {
      event: 'DELETED',
      object: slice({ endpoints: [endpoint('10.1.0.1', { ready: false }), endpoint('10.1.0.2')], ports: http }),
    },
    ['was 2 endpoints (1 ready), ports http 80/TCP'],
  ],
  [
    'a Node that loses its taint',
    modified(
      { kind: 'Node', metadata: { name: 'n' }, spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } },
      { kind: 'Node', metadata: { name: 'n' }, spec: {} },
    ),
    ['spec.taints {"key":"x","effect":"NoSchedule"} -> none'],
  ],
  [
    'fields of a wrong type, without failing',
    modified(
      slice({ endpoints: 'x', ports: 7 }),
      slice({ endpoints: [null, { addresses: 3, conditions: [] }], ports: [{ port: {} }] }),
    ),
    ['endpoints: 0 -> 1', '+?'],
  ],
]

describe('describeChange tells', () => {
  test.each(ROWS)('%s', (_name, change, phrases) => expect(describeChange(change)).toEqual(phrases))
})

test('tells the whole shop incident in lines that a person can read', () => {
  const previous = new Map<string, KubernetesObject>()
  const told = recordedEvents().map(({ type, object }) => {
    const key = `${object.kind} ${object.metadata.name}`
    const phrases = describeChange({ event: type, previous: previous.get(key), object })
    previous.set(key, object)
    return `${key}: ${phrases.join('; ')}`
  })
  expect(told).toContain('Service checkout: selector app=checkout -> app=checkout,tier=backend')
  expect(told).toContain(
    'EndpointSlice checkout-wbn79: endpoints: 2 -> 0; -10.244.1.14 (checkout-v1-0 on node-a); -10.244.3.16 (checkout-v1-2 on node-c)',
  )
  expect(told).toContain('EndpointSlice catalog-djpjp: 10.244.1.24 ready -> not ready')
  expect(told.filter((line) => line.includes('nothing but'))).toEqual([])
})

interface RecordedEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubernetesObject
}

function recordedEvents(): readonly RecordedEvent[] {
  const file = new URL('../../../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line)).filter(({ type }) => type !== 'BOOKMARK')
}
