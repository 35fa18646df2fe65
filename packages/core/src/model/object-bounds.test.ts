import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { excessOfObject, isNamedObject, keepObject, textDigest } from './keep-object.js'
import type { Json, JsonObject } from './kubernetes-object.js'
import { cutDeep, excessOf, jsonPieces, OBJECT_BOUNDS } from './object-bounds.js'

const deep = (levels: number, innermost: Json = {}): Json => {
  let value = innermost
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? { a: value } : [value]
  return value
}
const DEEP = 20_000

describe('bounds of a value', () => {
  test('are its depth and the size of its text', () => {
    expect(excessOf([deep(OBJECT_BOUNDS.depth - 1)])).toBeUndefined()
    expect(excessOf([deep(OBJECT_BOUNDS.depth + 1)])).toBe('it nests deeper than 100 levels')
    expect(excessOf([deep(DEEP)])).toBe('it nests deeper than 100 levels')
    const bounds = { depth: 100, characters: 1024 * 1024 }
    const large = 'it is larger than 1 Mi characters'
    expect(excessOf(['x'.repeat(bounds.characters)], bounds)).toBe(large)
    expect(excessOf([Array.from({ length: bounds.characters }, () => 0)], bounds)).toBe(large)
    expect(excessOf([{ ['x'.repeat(bounds.characters)]: 1 }], bounds)).toBe(large)
    expect(excessOf([Array.from({ length: 100_000 }, (_, port) => ({ port }))])).toBeUndefined()
  })

  test('are found in one that holds itself, however often', () => {
    const itself: { [key: string]: Json } = {}
    for (const key of ['a', 'b', 'c']) itself[key] = itself
    expect(excessOf([itself])).toBeDefined()
  })

  test('leave out what JSON has no form for', () => {
    for (const value of [new Date(), new Map(), Buffer.from('x'), 10n])
      expect(excessOf([{ value } as unknown as Json])).toBe('it holds what JSON has no form for')
  })
})

describe('an object of the API', () => {
  const NAME = { name: 'a', namespace: 'shop' }
  const spec = { ports: [{ port: 80 }] }
  const managed = (entry: JsonObject): JsonObject => ({
    kind: 'Service',
    metadata: { ...NAME, managedFields: [{ manager: 'm', ...entry }] },
    spec,
  })
  const kept: readonly (readonly [string, JsonObject])[] = [
    ['spec', { kind: 'Service', metadata: NAME, spec: deep(DEEP) }],
    ['status', { kind: 'Service', metadata: NAME, status: { x: deep(DEEP) } }],
    ['apiVersion', { kind: 'Service', apiVersion: deep(DEEP), metadata: NAME }],
    ['annotations', { kind: 'Service', metadata: { ...NAME, annotations: deep(DEEP) } }],
    ['an annotation', { kind: 'Service', metadata: { ...NAME, annotations: { x: deep(DEEP) } } }],
    ['labels', { kind: 'EndpointSlice', metadata: { ...NAME, labels: deep(DEEP) } }],
    ['an unknown field of metadata', { kind: 'Node', metadata: { name: 'n', future: deep(DEEP) } }],
    ['the manager', managed({ manager: deep(DEEP) })],
    ['the digest that a recording has', managed({ fieldsDigest: deep(DEEP) })],
    ['managedFields', { kind: 'Service', metadata: { ...NAME, managedFields: deep(DEEP) } }],
    ['ports', { kind: 'EndpointSlice', metadata: NAME, ports: [deep(DEEP)] }],
    ['an endpoint', { kind: 'EndpointSlice', metadata: NAME, endpoints: [{ conditions: deep(DEEP) }] }],
    ['endpoints', { kind: 'EndpointSlice', metadata: NAME, endpoints: [[deep(DEEP)]] }],
    ['taints', { kind: 'Node', metadata: NAME, spec: { taints: deep(DEEP) } }],
    ['addresses', { kind: 'Node', metadata: NAME, status: { addresses: [deep(DEEP)] } }],
    ['the spec of a Node', { kind: 'Node', metadata: NAME, spec: [deep(DEEP)] }],
  ]
  test.each(kept)('is not kept where it is too deep in %s', (_where, object) => {
    expect(keepObject(object)).toBeUndefined()
    expect(isNamedObject(object) && excessOfObject(object)).toBe('it nests deeper than 100 levels')
  })

  const dropped: readonly (readonly [string, JsonObject])[] = [
    ['fieldsV1', managed({ fieldsV1: deep(DEEP) })],
    ['fieldsV1 that is a list', managed({ fieldsV1: [deep(DEEP)] })],
    [
      'the configuration that kubectl applied',
      {
        kind: 'Service',
        metadata: { ...NAME, annotations: { 'kubectl.kubernetes.io/last-applied-configuration': deep(DEEP) } },
      },
    ],
    ['the annotations of a Node', { kind: 'Node', metadata: { name: 'n', annotations: { x: deep(DEEP) } } }],
    ['the conditions of a Node', { kind: 'Node', metadata: NAME, status: { conditions: deep(DEEP) } }],
    [
      'what nobody knows of an endpoint',
      {
        kind: 'EndpointSlice',
        metadata: NAME,
        endpoints: [{ addresses: ['10.0.0.1'], deprecatedTopology: deep(DEEP) }],
      },
    ],
    ['a field that is no part of the kind', { kind: 'Service', metadata: NAME, data: deep(DEEP) }],
  ]
  test.each(dropped)('is kept whole where it is too deep in %s, which is not kept', (_where, object) => {
    expect(JSON.stringify(keepObject(object)).length).toBeLessThan(300)
  })

  test('is told apart from another of other fields, however deep', () => {
    const digest = (innermost: Json): unknown =>
      keepObject(managed({ fieldsV1: deep(DEEP, innermost) }))?.metadata['managedFields']
    expect(digest({ x: 1 })).not.toEqual(digest({ x: 2 }))
    expect(digest({ x: 1 })).toEqual(digest({ x: 1 }))
  })

  test('loses members that would set a prototype, in itself and in its parts', () => {
    const object = JSON.parse(
      '{"kind":"Service","metadata":{"name":"a","__proto__":{"x":1},"labels":{"__proto__":{"y":1},"b":"c"}},"spec":{"__proto__":{"z":1}}}',
    ) as JsonObject
    expect(JSON.stringify(keepObject(object))).toBe(
      '{"kind":"Service","metadata":{"labels":{"b":"c"},"name":"a"},"spec":{}}',
    )
  })
})

test('the text of a value in pieces is its text as JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      const json = JSON.parse(text) as Json
      expect([...jsonPieces(json)].join('')).toBe(text)
      expect(textDigest(jsonPieces(json))).toBe(textDigest(text))
    }),
  )
  expect([...jsonPieces(deep(DEEP))].join('')).toHaveLength(DEEP * 4 + 2)
})

test('what a log holds is cut below what an object may hold, and only there', () => {
  const within = { spec: { x: deep(OBJECT_BOUNDS.depth - 1) } }
  expect(cutDeep(within)).toBe(within)
  const cut = JSON.stringify(cutDeep<Json>({ metadata: { name: 'a' }, spec: { clusterIP: '10.0.0.1', x: deep(DEEP) } }))
  expect(cut).toContain('"clusterIP":"10.0.0.1"')
  expect(cut).toContain('"nested too deep"')
  expect(cut.length).toBeLessThan(1000)
})
