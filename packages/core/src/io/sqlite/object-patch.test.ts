import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keepObject } from '../../model/keep-object.js'
import type { JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { mergePatch } from '../../model/json-value.js'
import { hostileObjectArbitrary, validArbitrary } from '../../testing/arbitraries.js'
import { managedArbitrary } from '../../testing/managed-arbitraries.js'
import { slice } from '../../testing/manifests.js'
import { diffObject, patchObject, storeObject } from './object-patch.js'
import { diffPacked, fromLine, packedLine, packVersion, unpackVersion } from './packed-version.js'

const kept = (object: KubernetesObject): KubernetesObject => {
  const result = keepObject(object)
  if (result === undefined) throw new Error('the object is of no kind that is kept')
  return result
}
const versionOf = ({ metadata: { resourceVersion } }: KubernetesObject): string =>
  typeof resourceVersion === 'string' ? resourceVersion : ''

/** Two versions of an object of one kind, as different as can be. */
const versions = (kind: ObjectKind): fc.Arbitrary<readonly [KubernetesObject, KubernetesObject]> => {
  const object = managedArbitrary(
    fc.oneof({ weight: 2, arbitrary: validArbitrary(kind) }, { weight: 1, arbitrary: hostileObjectArbitrary(kind) }),
  ).filter((candidate) => keepObject(candidate) !== undefined)
  return fc.tuple(object, object).map(([one, other]) => [kept(one), kept(other)])
}
const anyVersions = fc.oneof(versions('EndpointSlice'), versions('Service'), versions('Node'))

const webSlice = (...endpoints: (string | JsonObject)[]): KubernetesObject =>
  kept(slice({ name: 'web-1', service: 'web', resourceVersion: '1', endpoints }))

describe('the patch between two versions', () => {
  test('of a slice with a hundred endpoints names the one that changed', () => {
    const addresses = Array.from({ length: 100 }, (_, index) => `10.244.1.${index}`)
    const unready = {
      addresses: ['10.244.1.7'],
      conditions: { ready: false, serving: true, terminating: false },
      nodeName: 'node-a',
      zone: 'zone-a',
    }
    const changed = addresses.map((address) => (address === '10.244.1.7' ? unready : address))
    expect(diffObject(webSlice(...addresses), webSlice(...changed))).toEqual({
      endpoints: { '10.244.1.7': { conditions: { ready: false } } },
    })
  })

  test('names endpoints that came and went', () => {
    expect(diffObject(webSlice('10.244.1.1', '10.244.1.2'), webSlice('10.244.1.2', '10.244.1.3'))).toMatchObject({
      endpoints: { '10.244.1.1': null, '10.244.1.3': { addresses: ['10.244.1.3'] } },
    })
  })

  test('is none where endpoints change places: the order would be lost', () => {
    expect(diffObject(webSlice('10.244.1.1', '10.244.1.2'), webSlice('10.244.1.2', '10.244.1.1'))).toBeUndefined()
  })

  test('gives the later version from the earlier, to the byte', () => {
    fc.assert(
      fc.property(anyVersions, ([before, after]) => {
        const patch = diffObject(before, after)
        const stored = JSON.parse(JSON.stringify(patch ?? storeObject(after))) as JsonObject
        const read = patchObject(patch === undefined ? undefined : before, stored, versionOf(after))
        expect(JSON.stringify(read)).toBe(JSON.stringify(after))
      }),
    )
  })

  test('is a merge patch of the stored forms, as any tool applies it', () => {
    fc.assert(
      fc.property(anyVersions, ([before, after]) => {
        const patch = diffObject(before, after)
        if (patch !== undefined) expect(mergePatch(storeObject(before), patch)).toEqual(storeObject(after))
      }),
    )
  })
})

describe('a version that is held as text', () => {
  test('is the object again, also as a line of a snapshot', () => {
    fc.assert(
      fc.property(anyVersions, ([object]) => {
        const packed = packVersion(object)
        expect(JSON.stringify(unpackVersion(packed))).toBe(JSON.stringify(object))
        expect(JSON.stringify(fromLine(packedLine(packed), 1))).toBe(JSON.stringify(object))
      }),
    )
  })

  test('differs from the next version by the same patch as the object does', () => {
    fc.assert(
      fc.property(anyVersions, ([before, after]) => {
        const { change, packed } = diffPacked(packVersion(before), after)
        expect(change).toEqual(diffObject(before, after))
        expect(JSON.stringify(unpackVersion(packed))).toBe(JSON.stringify(after))
      }),
    )
  })
})
