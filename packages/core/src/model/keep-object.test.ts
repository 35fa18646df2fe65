import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hostileObjectArbitrary } from '../testing/arbitraries.js'
import { managedArbitrary } from '../testing/managed-arbitraries.js'
import { keepObject } from './keep-object.js'
import { OBJECT_KINDS } from './kubernetes-object.js'

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

describe('what is kept of an object', () => {
  test('a Service keeps its whole spec and status, and who manages which fields as a digest', () => {
    const kept = keepObject({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'web',
        namespace: 'shop',
        annotations: { note: 'x', [LAST_APPLIED]: '{"long": true}' },
        selfLink: '/api/v1/namespaces/shop/services/web',
        managedFields: [
          { manager: 'deployer', operation: 'Update', time: 't', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': {} } },
        ],
      },
      spec: { selector: { app: 'web' }, clusterIP: '10.96.0.1', future: [{ b: 1, a: 2 }] },
      status: { loadBalancer: {} },
    })
    expect(JSON.stringify(kept)).toBe(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {
          annotations: { note: 'x' },
          managedFields: [{ fieldsDigest: 'a6936936', manager: 'deployer', operation: 'Update', time: 't' }],
          name: 'web',
          namespace: 'shop',
        },
        spec: { clusterIP: '10.96.0.1', future: [{ a: 2, b: 1 }], selector: { app: 'web' } },
        status: { loadBalancer: {} },
      }),
    )
  })

  test('a slice keeps what decides about its endpoints', () => {
    const endpoint = {
      addresses: ['10.244.1.1'],
      conditions: { ready: true, serving: true, terminating: false },
      hints: { forZones: [{ name: 'zone-a' }] },
      nodeName: 'node-a',
      targetRef: { kind: 'Pod', name: 'web-1' },
      zone: 'zone-a',
    }
    expect(
      keepObject({
        kind: 'EndpointSlice',
        metadata: { name: 'web-1', namespace: 'shop' },
        addressType: 'IPv4',
        endpoints: [{ ...endpoint, deprecatedTopology: { a: 'b' }, hostname: 'h' }],
        ports: [{ port: 80 }],
      }),
    ).toEqual({
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'shop' },
      addressType: 'IPv4',
      endpoints: [endpoint],
      ports: [{ port: 80 }],
    })
  })

  test('a Node keeps its labels, addresses, CIDRs and taints', () => {
    const kept = keepObject({
      kind: 'Node',
      metadata: { name: 'node-a', labels: { zone: 'a' }, annotations: { heartbeat: '1' } },
      spec: {
        podCIDR: '10.244.1.0/24',
        podCIDRs: ['10.244.1.0/24'],
        taints: [{ key: 'k', effect: 'NoSchedule' }],
        providerID: 'x',
      },
      status: { addresses: [{ type: 'InternalIP', address: '192.168.55.10' }], capacity: { cpu: '2' }, images: [] },
    })
    expect(kept).toEqual({
      kind: 'Node',
      metadata: { name: 'node-a', labels: { zone: 'a' } },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'], taints: [{ key: 'k', effect: 'NoSchedule' }] },
      status: { addresses: [{ type: 'InternalIP', address: '192.168.55.10' }] },
    })
  })

  test('null is the same as absent, as it is to the API', () => {
    const [nulls, absent] = [{ endpoints: null, ports: null }, {}].map((fields) =>
      keepObject({ kind: 'EndpointSlice', metadata: { name: 'web-1', labels: null }, ...fields }),
    )
    expect(nulls).toEqual(absent)
  })

  test.each([
    ['text', 'no object'],
    ['nothing', null],
    ['a list', []],
    ['another kind', { kind: 'Pod', metadata: { name: 'web' } }],
    ['no name', { kind: 'Service', metadata: {} }],
    ['an empty name', { kind: 'Service', metadata: { name: '' } }],
    ['no metadata', { kind: 'Service' }],
    ['a namespace that is no text', { kind: 'Service', metadata: { name: 'web', namespace: 5 } }],
  ])('%s is no object that is kept', (_, raw) => {
    expect(keepObject(raw)).toBeUndefined()
  })

  test('a field of a wrong type is kept for the model to report', () => {
    const spec = [1, 'x']
    const metadata = { name: 'web', labels: 7, annotations: 'x', managedFields: { a: 1 }, ownerReferences: true }
    expect(keepObject({ kind: 'Service', metadata, spec, status: 'up' })).toEqual({
      kind: 'Service',
      metadata,
      spec,
      status: 'up',
    })
    expect(
      keepObject({ kind: 'EndpointSlice', metadata: { name: 'a' }, endpoints: [5, null, { addresses: 'x' }] }),
    ).toMatchObject({
      endpoints: [5, null, { addresses: 'x' }],
    })
  })

  test('a change of fields within one second shows in the digest', () => {
    const digest = (fieldsV1: object): unknown =>
      keepObject({ kind: 'Service', metadata: { name: 'web', managedFields: [{ manager: 'm', time: 't', fieldsV1 }] } })
        ?.metadata['managedFields']
    expect(digest({ 'f:spec': {} })).not.toEqual(digest({ 'f:status': {} }))
  })

  const hostile = fc.oneof(...OBJECT_KINDS.map((kind) => managedArbitrary(hostileObjectArbitrary(kind))))

  test('keeping what was kept changes nothing, to the byte', () => {
    fc.assert(
      fc.property(hostile, (object) => {
        const kept = keepObject(object)
        expect(JSON.stringify(keepObject(kept))).toBe(JSON.stringify(kept))
      }),
    )
  })

  test('the order of members makes no difference, to the byte', () => {
    fc.assert(
      fc.property(hostile, (object) => {
        expect(JSON.stringify(keepObject(reversed(withoutFieldSets(object))))).toBe(
          JSON.stringify(keepObject(withoutFieldSets(object))),
        )
      }),
    )
  })

  test('what is given stays as it was', () => {
    fc.assert(
      fc.property(hostile, (object) => {
        const before = JSON.stringify(object)
        keepObject(object)
        expect(JSON.stringify(object)).toBe(before)
      }),
    )
  })
})

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  )
}

/** A digest is of the text that the API server wrote, in the order that it always writes. */
const withoutFieldSets = (object: object): unknown =>
  JSON.parse(JSON.stringify(object, (key, value: unknown) => (key === 'fieldsV1' ? undefined : value)))
