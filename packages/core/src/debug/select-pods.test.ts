import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../model/kubernetes-object.js'
import { podOf } from '../model/pod.js'
import { servicePortsOf } from '../model/service-ports.js'
import { service } from '../testing/manifests.js'
import { type PodSelection, selectPods } from './select-pods.js'

const LABELS = { app: 'web', tier: 'backend' }

interface PodFields {
  readonly name?: string
  readonly namespace?: string
  readonly labels?: JsonObject
  readonly metadata?: JsonObject
  readonly spec?: JsonObject
  readonly status?: JsonObject
}

function pod({ name = 'web-0', namespace = 'shop', labels = LABELS, metadata, spec, status }: PodFields): JsonObject {
  return {
    kind: 'Pod',
    metadata: { name, namespace, labels, ...metadata },
    spec: { nodeName: 'node-a', ...spec },
    status: {
      phase: 'Running',
      podIP: '10.244.1.5',
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
      ...status,
    },
  }
}

function selected(pods: readonly JsonObject[], spec: JsonObject = {}, isListed = true): PodSelection | undefined {
  const web = service({ name: 'web', spec: { selector: LABELS, ...spec } })
  return selectPods({ service: web, ports: servicePortsOf(web).ports, pods, isListed: () => isListed })
}

const findings = (...args: Parameters<typeof selected>): readonly string[] =>
  (selected(...args)?.findings ?? []).map(
    ({ pod: name, reason, message, since }) =>
      `${name} ${reason} ${message}${since === undefined ? '' : ` since ${new Date(since).toISOString()}`}`,
  )

const port = (name: string, containerPort: number, more: JsonObject = {}): JsonObject => ({
  containers: [{ name: 'app', ports: [{ name, containerPort, ...more }] }],
})

describe('a Pod that the selector matches, and that is no ready endpoint', () => {
  test.each<readonly [what: string, fields: PodFields, expected: string]>([
    [
      'has ended',
      { status: { phase: 'Failed', reason: 'Evicted' } },
      'web-0 ENDED has ended: its phase is Failed (Evicted), so that it is never an endpoint',
    ],
    [
      'is being deleted, since its deletion was requested',
      { metadata: { deletionTimestamp: '2026-01-01T00:20:30Z', deletionGracePeriodSeconds: 30 } },
      'web-0 TERMINATING is being deleted since 2026-01-01T00:20:00.000Z',
    ],
    [
      'is on no node',
      {
        spec: { nodeName: '' },
        status: {
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes' }],
        },
      },
      'web-0 NOT_SCHEDULED is not scheduled to a node: Unschedulable: 0/3 nodes',
    ],
    [
      'has no IP, because its image is not there',
      {
        status: {
          phase: 'Pending',
          podIP: '',
          containerStatuses: [{ name: 'app', state: { waiting: { reason: 'ImagePullBackOff' } } }],
        },
      },
      'web-0 NO_IP has no IP yet (phase Pending, app: ImagePullBackOff)',
    ],
    [
      'is not ready, since when',
      {
        status: {
          conditions: [
            {
              type: 'Ready',
              status: 'False',
              reason: 'ReadinessGatesNotReady',
              lastTransitionTime: '2026-01-01T01:00:00Z',
            },
          ],
        },
      },
      'web-0 NOT_READY is not ready (ReadinessGatesNotReady) since 2026-01-01T01:00:00.000Z',
    ],
    [
      'has no condition at all',
      { status: { conditions: [] } },
      'web-0 NOT_READY is not ready (it has no condition Ready)',
    ],
  ])('%s', (_, fields, expected) => {
    expect(findings([pod(fields)])).toEqual([expected])
  })

  test('is ready, and in no slice', () => {
    expect(findings([pod({})], {}, false)).toEqual([
      'web-0 NOT_LISTED is ready, and no EndpointSlice of the Service lists 10.244.1.5',
    ])
  })

  test('lacks the container port that the targetPort names, or has it with another protocol', () => {
    const named = { ports: [{ name: 'http', port: 80, targetPort: 'web' }] }
    const pods = [
      pod({ name: 'a', spec: port('web', 8080) }),
      pod({ name: 'b', spec: port('http', 8080) }),
      pod({ name: 'c', spec: port('web', 8080, { protocol: 'UDP' }) }),
    ]
    expect(findings(pods, named)).toEqual([
      'b NO_SUCH_PORT has no container port web/TCP, which is the targetPort (it has http (8080/TCP)); 1 more Pod lacks it',
    ])
    expect(
      findings(
        [pod({ spec: { initContainers: [{ restartPolicy: 'Always', ports: [{ name: 'web', containerPort: 1 }] }] } })],
        named,
      ),
    ).toEqual([])
  })

  test('shares a port of the node with a Pod of any namespace', () => {
    const host = { hostNetwork: true, ...port('web', 9100) }
    const other = pod({ name: 'agent', namespace: 'monitoring', labels: {}, spec: port('x', 80, { hostPort: 9100 }) })
    const notReady = pod({ spec: host, status: { conditions: [{ type: 'Ready', status: 'False' }] } })
    expect(findings([notReady, other])).toEqual([
      'web-0 HOST_PORT_TAKEN is not ready, and uses port 9100/TCP of node node-a, as Pod monitoring/agent does',
    ])
    expect(findings([pod({ spec: host }), pod({ name: 'b', spec: { ...host, nodeName: 'node-b' } })])).toEqual([])
  })

  test('is an endpoint all the same where the Service publishes addresses that are not ready', () => {
    const notReady = pod({ status: { conditions: [] } })
    expect(findings([notReady], { publishNotReadyAddresses: true })).toEqual([])
  })
})

describe('a Pod of a dual-stack Service', () => {
  const dualStack = { clusterIPs: ['10.96.0.5', 'fd00::5'], ipFamilies: ['IPv4', 'IPv6'] }

  test('is no endpoint of a family of which it has no address', () => {
    expect(findings([pod({})], dualStack)).toEqual([
      'web-0 NO_IP_OF_FAMILY has no IPv6 address, so that it is no IPv6 endpoint (it has 10.244.1.5)',
    ])
  })

  test('lacks nothing with an address of both', () => {
    const both = pod({ status: { podIPs: [{ ip: '10.244.1.5' }, { ip: 'fd00:1::5' }] } })
    expect(findings([both], dualStack)).toEqual([])
  })
})

test('a Pod that is not ready, published anyway and not listed, is not said to be ready', () => {
  const waits = pod({ status: { conditions: [{ type: 'Ready', status: 'False' }] } })
  expect(findings([waits], { publishNotReadyAddresses: true }, false)).toEqual([
    'web-0 NOT_LISTED is not ready, which the Service ignores (publishNotReadyAddresses), and no EndpointSlice of the Service lists 10.244.1.5',
  ])
})

describe('where no Pod has the labels', () => {
  test('the closest one is named, with what differs and how many are like it', () => {
    const pods = [
      pod({ name: 'far', labels: { app: 'cart' } }),
      pod({ name: 'near-b', labels: { app: 'web', tier: 'back-end' } }),
      pod({ name: 'near-a', labels: { app: 'web', tier: 'back-end', more: 'x' } }),
      pod({ name: 'near-c', labels: { app: 'web' } }),
      pod({ name: 'else', namespace: 'prod' }),
    ]
    expect(selected(pods)).toMatchObject({
      selector: 'app=web,tier=backend',
      matching: 0,
      nearest: {
        pod: 'near-a',
        alike: 1,
        matches: 1,
        mismatches: [{ label: 'tier', wanted: 'backend', found: 'back-end' }],
      },
      elsewhere: [{ namespace: 'prod', pods: 1 }],
    })
  })

  test('of Pods that differ in the same label, the value that is most like the wanted one decides', () => {
    const pods = ['cart', 'chekout', 'search'].map((app) => pod({ name: app, labels: { app } }))
    expect(selected(pods, { selector: { app: 'checkout' } })?.nearest).toMatchObject({ pod: 'chekout', matches: 0 })
  })

  test('a Service without a selector has no selection, and an empty namespace no nearest Pod', () => {
    expect(selected([pod({})], { selector: {} })).toBeUndefined()
    expect(selected([pod({ namespace: 'prod', labels: {} })])?.nearest).toBeUndefined()
  })
})

test('a hundred thousand Pods, and a Pod of very many labels, are answered', () => {
  const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`label-${index}`, 'x']))
  const pods = Array.from({ length: 100_000 }, (_, index) => pod({ name: `web-${index}`, labels: { app: 'web' } }))
  const answer = selected([...pods, pod({ name: 'odd', labels: many })], { selector: { ...many, app: 'web' } })
  expect(answer).toMatchObject({ matching: 0, nearest: { pod: 'odd' } })
  const matching = selected(pods.concat(pod({ name: 'last', status: { conditions: [] } })), {
    selector: { app: 'web' },
  })
  expect(matching).toMatchObject({ matching: 100_001, ready: 100_000 })
})

test('fields of any type are as if they were absent', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (value, spec, status) => {
      const labels = { app: value, constructor: value, __proto__: null } as JsonObject
      const object = { kind: 'Pod', metadata: { name: 'x', namespace: 'shop', labels }, spec, status } as JsonObject
      const listed = {
        ...object,
        spec: { containers: [spec], initContainers: status, hostNetwork: true },
        status: { conditions: [status], podIPs: spec, containerStatuses: [spec] },
      } as JsonObject
      for (const each of [object, listed]) {
        podOf(each)
        selected([each, pod({})], { selector: { app: 'web' } })
      }
    }),
  )
  expect(podOf({ metadata: { name: 5 } })).toBeUndefined()
})
