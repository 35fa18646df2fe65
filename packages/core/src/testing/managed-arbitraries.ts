import fc from 'fast-check'
import type { Json, JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import type { WatchEvent } from '../model/watch-event.js'

const entry: fc.Arbitrary<JsonObject> = fc
  .tuple(
    fc.constantFrom('kube-controller-manager', 'deployer', 'kubectl-edit'),
    fc.constantFrom('Update', 'Apply'),
    fc.constantFrom('2026-01-20T00:00:00Z', '2026-01-20T00:00:01Z', '2026-01-20T00:00:01.5Z', 'no time'),
    fc.constantFrom<JsonObject>({ 'f:spec': {} }, { 'f:endpoints': {} }),
    fc.constantFrom<JsonObject>({}, { subresource: 'status' }),
  )
  .map(([manager, operation, time, fieldsV1, subresource]) => ({ manager, operation, time, fieldsV1, ...subresource }))

const managed = fc.record({
  managedFields: fc.oneof(
    { weight: 9, arbitrary: fc.array(entry, { maxLength: 3 }) as fc.Arbitrary<Json> },
    { weight: 1, arbitrary: fc.constantFrom<Json>(null, 'text', { manager: 'x' }, [1]) },
  ),
  generation: fc.integer({ min: 1, max: 3 }),
  annotations: fc.constantFrom<JsonObject>({}, { a: '1' }, { a: '2', b: '1' }),
})

/** The object with what an API server adds: who manages it, its generation, annotations. */
export const managedArbitrary = (object: fc.Arbitrary<KubernetesObject>): fc.Arbitrary<KubernetesObject> =>
  fc.tuple(object, managed).map(([value, added]) => ({ ...value, metadata: { ...value.metadata, ...added } }))

/** The same events with such objects. */
export const managedEventsArbitrary = (
  events: fc.Arbitrary<readonly WatchEvent[]>,
): fc.Arbitrary<readonly WatchEvent[]> =>
  fc.tuple(events, fc.array(managed, { minLength: 1 })).map(([sequence, additions]) =>
    sequence.map((event, index) => {
      if (event.type === 'BOOKMARK') return event
      const metadata = { ...event.object.metadata, ...additions[index % additions.length] }
      return { ...event, object: { ...event.object, metadata } }
    }),
  )
