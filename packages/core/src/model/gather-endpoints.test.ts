import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointSliceArbitrary } from '../testing/arbitraries.js'
import { slice, type SliceFields } from '../testing/manifests.js'
import { type Endpoint, endpointKey } from './endpoint.js'
import type { KubernetesObject } from './kubernetes-object.js'
import { endpointsOfSlice, gatherEndpoints, type SliceEndpoints } from './slice-endpoints.js'

const read = (object: KubernetesObject): SliceEndpoints => {
  const result = endpointsOfSlice(object)
  if (result.service === undefined) throw new Error('a slice of nobody')
  return result
}
const web = (name: string, fields: Omit<SliceFields, 'name' | 'service'>): SliceEndpoints =>
  read(slice({ name, service: 'web', ...fields }))
const on = (nodeName: string, terminating = false) => ({
  addresses: ['10.244.1.1'],
  nodeName,
  conditions: { ready: !terminating, terminating },
})

/** The only endpoint, whichever order the slices come in. */
function winner(...slices: readonly SliceEndpoints[]): Endpoint | undefined {
  const [forwards] = gatherEndpoints(slices).values()
  const [backwards] = gatherEndpoints(slices.toReversed()).values()
  expect(forwards).toHaveLength(1)
  expect(backwards).toEqual(forwards)
  return forwards?.[0]
}

describe('the slices of a Service together', () => {
  it('give each port the endpoints of all, sorted, with the number that each slice says', () => {
    const gathered = gatherEndpoints([
      web('a', {
        endpoints: ['10.244.1.1', '10.244.1.10'],
        ports: [
          { name: 'http', port: 8080 },
          { name: 'alt', port: 81 },
        ],
      }),
      web('b', { endpoints: ['10.244.1.1', '10.244.1.2'], ports: [{ name: 'http', port: 9090 }] }),
      web('c', { endpoints: [], ports: [{ name: 'none', port: 1 }] }),
    ])
    expect([...gathered].map(([id, list]) => `${id} -> ${list.map(endpointKey).join(' ')}`).toSorted()).toEqual([
      'shop/web:alt/TCP/IPv4 -> 10.244.1.10:81 10.244.1.1:81',
      'shop/web:http/TCP/IPv4 -> 10.244.1.10:8080 10.244.1.1:8080 10.244.1.1:9090 10.244.1.2:9090',
    ])
  })

  it('are one slice itself when there is one, and nothing when there is none', () => {
    const only = web('a', { endpoints: ['10.244.1.1'] })
    expect(gatherEndpoints([only])).toBe(only.endpoints)
    expect(gatherEndpoints([]).size).toBe(0)
  })

  it('let an endpoint that is not terminating win over one that is, however new', () => {
    expect(
      winner(
        web('a', { resourceVersion: '9', endpoints: [on('old')] }),
        web('b', { resourceVersion: '10', endpoints: [on('new', true)] }),
      )?.nodeName,
    ).toBe('old')
  })

  it('let the newer slice win between equals, versions being numbers', () => {
    expect(
      winner(
        web('a', { resourceVersion: '9', endpoints: [on('old')] }),
        web('b', { resourceVersion: '10', endpoints: [on('new')] }),
      )?.nodeName,
    ).toBe('new')
    expect(
      winner(
        web('a', { resourceVersion: '99999999999999999998', endpoints: [on('old')] }),
        web('b', { resourceVersion: '99999999999999999999', endpoints: [on('new')] }),
      )?.nodeName,
    ).toBe('new')
  })

  it('let the name decide where there are no versions', () => {
    expect(winner(web('b', { endpoints: [on('second')] }), web('a', { endpoints: [on('first')] }))?.nodeName).toBe(
      'first',
    )
  })

  it('are the same in whatever order they come', () => {
    const slices = fc.uniqueArray(endpointSliceArbitrary(), { maxLength: 5, selector: ({ metadata }) => metadata.name })
    fc.assert(
      fc.property(
        slices.chain((objects) =>
          fc.tuple(fc.constant(objects), fc.shuffledSubarray(objects, { minLength: objects.length })),
        ),
        ([objects, shuffled]) => {
          const entries = (list: readonly KubernetesObject[]) =>
            [...gatherEndpoints(list.map(read))].toSorted(([a], [b]) => (a < b ? -1 : 1))
          expect(entries(shuffled)).toEqual(entries(objects))
        },
      ),
    )
  })
})
