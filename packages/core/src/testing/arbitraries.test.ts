import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ObjectEvent, WatchEvent } from '../model/watch-event.js'
import { eventSequenceArbitrary, hostileObjectArbitrary } from './arbitraries.js'

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
const isObjectEvent = (event: WatchEvent): event is ObjectEvent => event.type !== 'BOOKMARK'

describe('generated watch events', () => {
  it('are what an API server could send', () => {
    fc.assert(
      fc.property(eventSequenceArbitrary(), (events) => {
        const alive = new Map<string, unknown>()
        const uids = new Set<unknown>()
        let version = 0
        let time = 0
        for (const event of events) {
          expect(event.observedAt).toBeGreaterThanOrEqual(time)
          time = event.observedAt
          if (!isObjectEvent(event)) continue
          const { resourceVersion, uid } = event.object.metadata
          expect(Number(resourceVersion)).toBeGreaterThan(version)
          version = Number(resourceVersion)
          const key = keyOf(event.object)
          if (event.type === 'ADDED') {
            expect(alive.has(key) || uids.has(uid)).toBe(false)
            uids.add(uid)
          } else expect(alive.get(key)).toBe(uid)
          if (event.type === 'DELETED') alive.delete(key)
          else alive.set(key, uid)
        }
        const complete = events.flatMap((event) =>
          event.type === 'BOOKMARK' && event.initialEventsEnd ? [event.kind] : [],
        )
        expect(complete.toSorted()).toEqual(['EndpointSlice', 'Node', 'Service', 'ServiceCIDR'])
      }),
    )
  })

  it('hold what matters: deletions, returns, moves of labels', () => {
    const sample = fc.sample(eventSequenceArbitrary(), { seed: 1, numRuns: 200 })
    const kinds = new Set<string>()
    for (const events of sample) {
      const before = new Map<string, { readonly object: KubernetesObject; readonly gone: boolean }>()
      for (const { type, object } of events.filter(isObjectEvent)) {
        const known = before.get(keyOf(object))
        if (known?.gone === true) kinds.add('returns')
        const labels = (item: KubernetesObject): string => JSON.stringify(item.metadata['labels'])
        if (object.kind === 'EndpointSlice' && known?.gone === false && labels(known.object) !== labels(object))
          kinds.add('label moves')
        before.set(keyOf(object), { object, gone: type === 'DELETED' })
        kinds.add(`${type} ${object.kind}`)
      }
    }
    expect([...kinds].toSorted()).toEqual([
      'ADDED EndpointSlice',
      'ADDED Node',
      'ADDED Service',
      'ADDED ServiceCIDR',
      'DELETED EndpointSlice',
      'DELETED Node',
      'DELETED Service',
      'DELETED ServiceCIDR',
      'MODIFIED EndpointSlice',
      'MODIFIED Node',
      'MODIFIED Service',
      'MODIFIED ServiceCIDR',
      'label moves',
      'returns',
    ])
  })
})

describe('generated hostile objects', () => {
  it('keep the little that an object promises', () => {
    fc.assert(
      fc.property(hostileObjectArbitrary('EndpointSlice'), ({ kind, metadata }) => {
        expect(kind).toBe('EndpointSlice')
        expect(typeof metadata.name).toBe('string')
      }),
    )
  })
})
