import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { authorOf, seq, type LogRecord, type ObjectRecord } from '../model/record.js'
import { findIncidents } from './find-incidents.js'
import { isFlap, isOpen, type Outage } from './outage.js'

const SECOND = 1000
type Pods = Readonly<Record<string, 'ready' | 'not ready' | 'draining' | 'terminating'>>

const service = (name: string, spec: object = {}, annotations: object = {}): KubernetesObject =>
  ({
    kind: 'Service',
    metadata: { name, namespace: 'depot', uid: `uid-${name}`, annotations },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.1.1',
      clusterIPs: ['10.96.1.1'],
      ipFamilies: ['IPv4'],
      selector: { app: name },
      ports: [{ name: 'web', port: 80, protocol: 'TCP', targetPort: 'web' }],
      ...spec,
    },
  }) as unknown as KubernetesObject

const slice = (of: string, pods: Pods, rest: object = {}): KubernetesObject =>
  ({
    kind: 'EndpointSlice',
    metadata: {
      name: `${of}-x1`,
      namespace: 'depot',
      labels: {
        'kubernetes.io/service-name': of,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'web', port: 8000, protocol: 'TCP' }],
    endpoints: Object.entries(pods).map(([address, condition]) => ({
      addresses: [address],
      conditions: {
        ready: condition === 'ready',
        serving: condition === 'ready' || condition === 'draining',
        terminating: condition === 'draining' || condition === 'terminating',
      },
    })),
    ...rest,
  }) as unknown as KubernetesObject

interface Step {
  readonly event?: ObjectRecord['event']
  readonly object: KubernetesObject
  /** Seconds after the step before; 1 where absent. */
  readonly after?: number
  readonly version?: number
}

const isStep = (given: KubernetesObject | Step): given is Step => !('kind' in given)

/** The records that a log would hold, a second apart. */
function recording(...steps: readonly (KubernetesObject | Step)[]): readonly ObjectRecord[] {
  const seen = new Set<string>()
  let at = 0
  return steps.map((given, index) => {
    const step: Step = isStep(given) ? given : { object: given }
    const { kind, metadata } = step.object
    const key = `${kind} ${metadata.name}`
    const event = step.event ?? (seen.has(key) ? 'MODIFIED' : 'ADDED')
    if (event === 'DELETED') seen.delete(key)
    else seen.add(key)
    at += (step.after ?? 1) * SECOND
    const common = { seq: seq(index + 1), observedAt: at, type: 'object', event, kind } as const
    const resourceVersion = String(step.version ?? index + 1)
    const { name, namespace = '' } = metadata
    return { ...common, namespace, name, uid: name, resourceVersion, object: step.object }
  })
}

const told = (records: readonly LogRecord[]): readonly string[] => findIncidents(records).map(line)

function line(outage: Outage): string {
  const { service: name, ports, emptiedBy, cause, repair, endpointsBefore } = outage
  const why = cause.type === 'service-edit' ? `${cause.edit.changes.join('; ')} @${cause.edit.record.seq}` : cause.type
  const end = isOpen(outage) ? 'open' : repair === undefined ? 'deleted' : `until ${repair.record.seq}`
  const flap = isFlap(outage) ? ' flap' : ''
  return `${name}:${ports.join('+')} lost ${endpointsBefore} at ${emptiedBy.seq} by ${why}, ${end}${flap}`
}

const UP = { '10.1.0.1': 'ready', '10.1.0.2': 'ready' } as const
const healthy = [service('tram'), slice('tram', UP)]

describe('findIncidents finds', () => {
  test('the selector that was edited, and what put it right', () => {
    const edited = service('tram', { selector: { app: 'tarm' } })
    expect(told(recording(...healthy, edited, slice('tram', {}), service('tram'), slice('tram', UP)))).toEqual([
      'depot/tram:web lost 2 at 4 by selector app=tram -> app=tarm @3, until 6',
    ])
    const [outage] = findIncidents(recording(...healthy, edited, slice('tram', {}), service('tram'), slice('tram', UP)))
    expect(outage?.repair?.edit?.changes).toEqual(['selector app=tarm -> app=tram'])
    expect(outage?.durationMs).toBe(2 * SECOND)
  })

  test('a target port whose name no pod has, so that the ports vanish', () => {
    const edited = service('tram', { ports: [{ name: 'web', port: 80, protocol: 'TCP', targetPort: 'wbe' }] })
    expect(told(recording(...healthy, edited, slice('tram', UP, { ports: [] })))).toEqual([
      'depot/tram:web lost 2 at 4 by spec.ports[web].targetPort web -> wbe @3, open',
    ])
  })

  test('the edit also where the watch of Services was behind the watch of slices', () => {
    const edited = service('tram', { selector: { app: 'tarm' } })
    const records = recording(...healthy, { object: slice('tram', {}), version: 11 }, { object: edited, version: 10 })
    expect(told(records)).toEqual(['depot/tram:web lost 2 at 3 by selector app=tram -> app=tarm @4, open'])
  })

  test('a Service that was replaced by one with another selector', () => {
    const replaced = recording(
      ...healthy,
      { event: 'DELETED', object: service('tram') },
      service('tram', { selector: { app: 'new' } }),
      { event: 'DELETED', object: slice('tram', UP) },
    )
    expect(told(replaced)).toEqual(['depot/tram:web lost 2 at 5 by selector app=tram -> app=new @4, open'])
  })

  test('pods that were scaled away, first draining', () => {
    const draining = { '10.1.0.1': 'draining', '10.1.0.2': 'draining' } as const
    const terminating = { '10.1.0.1': 'terminating', '10.1.0.2': 'terminating' } as const
    expect(told(recording(...healthy, slice('tram', draining), slice('tram', terminating), slice('tram', {})))).toEqual(
      ['depot/tram:web lost 2 at 4 by pods-gone, open'],
    )
  })

  test('pods that are there and not ready', () => {
    const ill = { '10.1.0.1': 'not ready', '10.1.0.2': 'not ready' } as const
    expect(told(recording(...healthy, slice('tram', ill)))).toEqual(['depot/tram:web lost 2 at 3 by not-ready, open'])
  })

  test('pods that lost the port without an edit', () => {
    const edited = service('tram', { sessionAffinity: 'ClientIP' })
    expect(told(recording(...healthy, edited, slice('tram', UP, { ports: [] })))).toEqual([
      'depot/tram:web lost 2 at 4 by port-gone, open',
    ])
  })

  test('a slice that somebody keeps by hand', () => {
    const byHand = (pods: Pods): KubernetesObject => {
      const made = slice('tram', pods)
      const labels = { 'kubernetes.io/service-name': 'tram', 'endpointslice.kubernetes.io/managed-by': 'staff' }
      return { ...made, metadata: { ...made.metadata, labels } }
    }
    expect(told(recording(service('tram'), byHand(UP), byHand({})))).toEqual([
      'depot/tram:web lost 2 at 3 by slice-edit, open',
    ])
  })

  test('nothing where endpoints are left, or are only draining, or never were', () => {
    const records = recording(
      ...healthy,
      slice('tram', { '10.1.0.1': 'ready', '10.1.0.2': 'not ready' }),
      slice('tram', { '10.1.0.1': 'draining' }),
      service('new'),
      slice('new', {}),
    )
    expect(told(records)).toEqual([])
  })

  test('nothing in a Service that is deleted, whichever is seen first', () => {
    const gone: readonly Step[] = [
      { event: 'DELETED', object: service('tram') },
      { event: 'DELETED', object: slice('tram', UP) },
    ]
    expect(told(recording(...healthy, ...gone))).toEqual([])
    expect(told(recording(...healthy, ...gone.toReversed()))).toEqual([])
  })

  test('nothing while another slice of the Service still has endpoints', () => {
    const made = slice('tram', { '10.1.0.9': 'ready' })
    const second = { ...made, metadata: { ...made.metadata, name: 'tram-x2' } }
    expect(told(recording(...healthy, second, slice('tram', {})))).toEqual([])
  })

  test('a slice whose label moved to another Service', () => {
    const moved = slice('tram', UP, {
      metadata: { ...slice('tram', UP).metadata, labels: { 'kubernetes.io/service-name': 'bus' } },
    })
    expect(told(recording(...healthy, service('bus'), moved))).toEqual([
      'depot/tram:web lost 2 at 4 by slice-edit, open',
    ])
  })
})

describe('findIncidents does not blame', () => {
  test('an edit that took nothing out for what happens to the pods later', () => {
    const edited = service('tram', { selector: { app: 'tram', line: '1' } })
    const ill = { '10.1.0.1': 'not ready', '10.1.0.2': 'not ready' } as const
    expect(told(recording(...healthy, edited, slice('tram', ill)))).toEqual([
      'depot/tram:web lost 2 at 4 by not-ready, open',
    ])
    expect(told(recording(...healthy, edited, { object: slice('tram', {}), after: 3600 }))).toEqual([
      'depot/tram:web lost 2 at 4 by pods-gone, open',
    ])
  })

  test('an edit that decides nothing about endpoints', () => {
    const edited = service('tram', { type: 'NodePort' }, { note: 'hello' })
    expect(told(recording(...healthy, edited, slice('tram', {})))).toEqual([
      'depot/tram:web lost 2 at 4 by pods-gone, open',
    ])
  })
})

describe('findIncidents tells first', () => {
  test('of an edit, then of what is open, then of the longest, and of flaps last', () => {
    const ill = { '10.1.0.1': 'not ready' } as const
    const well = { '10.1.0.1': 'ready' } as const
    const up = ['flappy', 'short', 'long', 'open', 'edited'].flatMap((name) => [service(name), slice(name, well)])
    const flapping = [1, 2, 3].flatMap(() => [
      { object: slice('flappy', ill) },
      { object: slice('flappy', well), after: 100 },
    ])
    const records = recording(
      ...up,
      ...flapping,
      slice('short', ill),
      slice('short', well),
      slice('long', ill),
      { object: slice('long', well), after: 50 },
      service('edited', { selector: { a: 'b' } }),
      slice('edited', {}),
      service('edited'),
      slice('edited', well),
      slice('open', ill),
    )
    const order = findIncidents(records).map(({ service: name }) => name.slice('depot/'.length))
    expect(order).toEqual(['edited', 'open', 'long', 'short', 'flappy', 'flappy', 'flappy'])
  })
})

test('finds the break of the shop recording: who edited what, which slice emptied, and the repair', () => {
  const [first, ...others] = findIncidents(shopRecords())
  expect(first?.service).toBe('shop/checkout')
  expect(first?.emptiedBy.name).toBe('checkout-wbn79')
  expect(first?.emptiedBy.object.metadata['resourceVersion']).toBe('326')
  expect(first?.endpointsBefore).toBe(2)
  expect(first?.cause.type === 'service-edit' && first.cause.edit.changes).toEqual([
    'selector app=checkout -> app=checkout,tier=backend',
  ])
  expect(first?.cause.type === 'service-edit' && first.cause.edit.record.author?.manager).toBe('kubectl-edit')
  expect(first?.repair?.edit?.record.author?.manager).toBe('kubectl-rollback')
  expect(first?.durationMs).toBe(50_504 - 44_181)
  expect(others.map(({ service: name }) => name)).toEqual(Array.from({ length: 5 }, () => 'shop/auth'))
  expect(others.every(isFlap)).toBe(true)
})

function shopRecords(): readonly ObjectRecord[] {
  const file = new URL('../../../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url)
  const events = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
  const previous = new Map<string, KubernetesObject>()
  return events
    .filter(({ type }) => type !== 'BOOKMARK')
    .map(({ type, object, observedAt }, index) => {
      const { kind, metadata } = object
      const key = `${kind} ${metadata.uid}`
      const author = authorOf(previous.get(key), object)
      previous.set(key, object)
      return {
        seq: seq(index + 1),
        observedAt: Date.parse(observedAt),
        type: 'object',
        event: type,
        kind,
        namespace: metadata.namespace ?? '',
        name: metadata.name,
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
        object,
        ...(author === undefined ? {} : { author }),
      }
    })
}
