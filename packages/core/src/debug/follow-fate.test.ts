import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { servicePortName, serviceName } from '../model/names.js'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { NO_SEQ, seq, type LogRecord } from '../model/record.js'
import type { State } from '../state/state.js'
import { createEventMaker, service, slice } from '../testing/manifests.js'
import { type FateHistory, fateKey, findBreak, followFate, type PacketFate } from './follow-fate.js'

const ID = servicePortName({
  service: serviceName('shop', 'web'),
  portName: 'http',
  protocol: 'TCP',
  family: 'IPv4',
})

/** Ready endpoints of the one port: as little as a fate can be. */
function fateAt({ services, endpoints }: State): PacketFate {
  const ready = (endpoints.get(ID) ?? []).filter((endpoint) => endpoint.ready)
  if (!services.has(ID)) return { verdict: 'no-service', reason: '', endpoints: [] }
  if (ready.length === 0) return { verdict: 'rejected', reason: '', servicePort: ID, endpoints: [] }
  const odds = 1 / ready.length
  return {
    verdict: 'endpoints',
    reason: '',
    servicePort: ID,
    endpoints: ready.map(({ address, port }) => ({ address, port, odds, masqueraded: false })),
  }
}

const web = (spec: Parameters<typeof service>[0]['spec'] = {}): KubernetesObject => service({ name: 'web', spec })
const pods = (...addresses: readonly string[]): KubernetesObject =>
  slice({ name: 'web-1', service: 'web', endpoints: addresses })
const notReady = (address: string): KubernetesObject =>
  slice({ name: 'web-1', service: 'web', endpoints: [{ addresses: [address], conditions: { ready: false } }] })

type Step = readonly ['added' | 'modified' | 'deleted', KubernetesObject, { readonly later?: number }?]

function follow(
  steps: readonly Step[],
  { exact = false, after = 0, objects = [] as readonly KubernetesObject[] } = {},
): FateHistory {
  const history = followFate({
    fateAt,
    keyOf: (fate) => fateKey(fate, exact),
    after: seq(after),
    config: DEFAULT_PROXY_CONFIG,
    objects,
  })
  for (const record of recordsOf(steps)) history.take(record)
  return history
}

function recordsOf(steps: readonly Step[]): readonly LogRecord[] {
  const maker = createEventMaker()
  let waited = 0
  return steps.map(([type, given, { later = 0 } = {}], index) => {
    const event = maker[type](given)
    if (event.type === 'BOOKMARK') throw new Error('no object')
    const { object } = event
    waited += later
    return {
      type: 'object',
      seq: seq(index + 1),
      observedAt: event.observedAt + waited,
      event: event.type,
      kind: object.kind,
      namespace: object.metadata.namespace ?? '',
      name: object.metadata.name,
      uid: `uid-${object.metadata.name}`,
      resourceVersion: String(1000 + index),
      object,
    }
  })
}

const told = (history: FateHistory): readonly string[] =>
  history.flips().map((flip) => {
    const cause = history.causeOf(flip)
    const edit = cause.type === 'service-edit' ? ` of ${cause.edit.record.seq}` : ''
    return `${flip.record.seq}: ${flip.before.verdict} -> ${flip.after.verdict}, ${cause.type}${edit}`
  })

const HEALTHY: readonly Step[] = [
  ['added', web()],
  ['added', pods('10.244.1.1', '10.244.1.2')],
]
const AFTER_HEALTHY = { after: HEALTHY.length }

describe('what is behind a flip', () => {
  test.each<readonly [string, readonly Step[], readonly string[]]>([
    [
      'an edit of the selector that emptied the slice, and one that filled it',
      [
        ['modified', web({ selector: { app: 'wep' } })],
        ['modified', pods()],
        ['modified', web()],
        ['modified', pods('10.244.1.1')],
      ],
      ['4: endpoints -> rejected, service-edit of 3', '6: rejected -> endpoints, service-edit of 5'],
    ],
    [
      'not an edit that was answered by another version of the slice',
      [
        ['modified', web({ selector: { app: 'web', tier: 'x' } })],
        ['modified', pods('10.244.1.2')],
        ['modified', pods()],
      ],
      ['5: endpoints -> rejected, pods-gone'],
    ],
    [
      'not an edit where the endpoints are there and not ready',
      [
        ['modified', web({ selector: { app: 'web', tier: 'x' } })],
        ['modified', notReady('10.244.1.1')],
      ],
      ['4: endpoints -> rejected, not-ready'],
    ],
    [
      'not an edit of long ago',
      [
        ['modified', web({ selector: { app: 'web', tier: 'x' } })],
        ['modified', pods(), { later: 6 * 60_000 }],
      ],
      ['4: endpoints -> rejected, pods-gone'],
    ],
    [
      'a replaced Service',
      [
        ['deleted', web()],
        ['added', web({ selector: { app: 'wep' } })],
        ['modified', pods()],
      ],
      [
        '3: endpoints -> no-service, itself',
        '4: no-service -> endpoints, itself',
        '5: endpoints -> rejected, service-edit of 4',
      ],
    ],
    [
      'pods that become ready, and such that come',
      [
        ['modified', notReady('10.244.1.1')],
        ['modified', pods('10.244.1.1')],
        ['modified', pods()],
        ['modified', pods('10.244.1.9')],
      ],
      [
        '3: endpoints -> rejected, not-ready',
        '4: rejected -> endpoints, ready',
        '5: endpoints -> rejected, pods-gone',
        '6: rejected -> endpoints, pods-came',
      ],
    ],
    [
      'somebody who gives the slice to another Service',
      [['modified', slice({ name: 'web-1', service: 'cart', endpoints: ['10.244.1.1'] })]],
      ['3: endpoints -> rejected, slice-edit'],
    ],
  ])('is %s', (_, steps, flips) => {
    expect(told(follow([...HEALTHY, ...steps], AFTER_HEALTHY))).toEqual(flips)
  })
})

test('flips count after the record that is given, and the fate there is known', () => {
  const steps: readonly Step[] = [...HEALTHY, ['modified', pods()], ['modified', pods('10.244.1.1')]]
  expect(told(follow(steps))).toHaveLength(4)
  const history = follow(steps, { after: 3 })
  expect(told(history)).toEqual(['4: rejected -> endpoints, pods-came'])
  expect([history.first().verdict, history.last().verdict]).toEqual(['rejected', 'endpoints'])
})

test('objects that were there before the first record count', () => {
  const history = follow([['modified', pods()]], { objects: [web(), pods('10.244.1.1')] })
  expect(told(history)).toEqual(['1: endpoints -> rejected, pods-gone'])
  expect(history.flips()[0]?.previous).toMatchObject({ metadata: { name: 'web-1' } })
})

test('other endpoints are another fate only where that is asked for', () => {
  const steps: readonly Step[] = [...HEALTHY, ['modified', pods('10.244.1.1')]]
  expect(told(follow(steps, AFTER_HEALTHY))).toEqual([])
  expect(told(follow(steps, { ...AFTER_HEALTHY, exact: true }))).toEqual(['3: endpoints -> endpoints, pods-gone'])
})

describe('what broke it', () => {
  const keyOf = (fate: PacketFate): string => fateKey(fate, false)
  const broken: readonly Step[] = [
    ...HEALTHY,
    ['modified', pods()],
    ['modified', pods('10.244.1.1')],
    ['modified', pods()],
    ['deleted', web()],
  ]

  test('is the latest record after which endpoints were no longer reached', () => {
    const found = findBreak(follow(broken).flips(), { keyOf })
    expect(found.broken?.record.seq).toBe(5)
    expect(found.mended).toBeUndefined()
  })

  test('may have been mended since', () => {
    const found = findBreak(follow(broken.slice(0, 4)).flips(), { keyOf })
    expect([found.broken?.record.seq, found.mended?.record.seq]).toEqual([3, 4])
  })

  test('is the end of what was good, where that was given', () => {
    const history = follow(broken, { after: 3 })
    const found = findBreak(history.flips(), { keyOf, good: history.first() })
    expect(found.broken?.record.seq).toBe(6)
    expect(found.broken?.before.verdict).toBe('rejected')
  })

  test('is nothing where endpoints were never reached', () => {
    expect(findBreak(follow([['added', web()]]).flips(), { keyOf })).toEqual({})
    expect(follow([['added', web()]], { after: NO_SEQ }).flips()).toHaveLength(1)
  })
})
