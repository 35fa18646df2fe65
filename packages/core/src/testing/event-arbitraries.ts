import fc from 'fast-check'
import { type KubernetesObject, OBJECT_KINDS } from '../model/kubernetes-object.js'
import type { WatchEvent } from '../model/watch-event.js'
import { endpointSliceArbitrary, nodeArbitrary, serviceArbitrary, serviceCidrArbitrary } from './object-arbitraries.js'

/**
 * Watch events as an API server could send them: an object is added before it changes or goes, resourceVersions rise over
 * all kinds, times never fall, an object that comes again has another uid, and each kind is complete at some point.
 */
export const eventSequenceArbitrary = ({ maxLength = 40 }: { readonly maxLength?: number } = {}): fc.Arbitrary<
  readonly WatchEvent[]
> =>
  fc
    .record({
      steps: fc.array(
        fc.record({
          object: fc.oneof(
            { weight: 3, arbitrary: serviceArbitrary() },
            { weight: 5, arbitrary: endpointSliceArbitrary() },
            { weight: 1, arbitrary: nodeArbitrary() },
            { weight: 1, arbitrary: serviceCidrArbitrary() },
          ),
          gone: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
          waitMs: fc.constantFrom(0, 0, 3, 700, 5000),
        }),
        { maxLength },
      ),
      completeAfter: fc.tuple(...OBJECT_KINDS.map(() => fc.nat(maxLength))),
    })
    .map(({ steps, completeAfter }) => eventsOf(steps, completeAfter))

interface Step {
  readonly object: KubernetesObject
  readonly gone: boolean
  readonly waitMs: number
}

function eventsOf(steps: readonly Step[], completeAfter: readonly number[]): readonly WatchEvent[] {
  const events: WatchEvent[] = []
  const alive = new Map<string, KubernetesObject>()
  // So that versions gain a digit on the way: 99 is before 100.
  let version = 95
  let observedAt = Date.UTC(2026, 0, 20)
  let births = 0
  const complete = (step: number, last: boolean): void => {
    for (const [index, kind] of OBJECT_KINDS.entries()) {
      const after = completeAfter[index] ?? 0
      if (after !== step && !(last && after > step)) continue
      events.push({ type: 'BOOKMARK', kind, resourceVersion: String(version), initialEventsEnd: true, observedAt })
    }
  }
  for (const [index, { object, gone, waitMs }] of steps.entries()) {
    complete(index, false)
    observedAt += waitMs
    const { namespace = '', name } = object.metadata
    const key = `${object.kind} ${namespace}/${name}`
    const before = alive.get(key)
    if (gone && before === undefined) continue
    const uid = before?.metadata['uid'] ?? `uid-${++births}`
    const resourceVersion = String(++version)
    const base = gone && before !== undefined ? before : object
    const after = { ...base, metadata: { ...base.metadata, uid, resourceVersion } }
    events.push({ type: gone ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED', object: after, observedAt })
    if (gone) alive.delete(key)
    else alive.set(key, after)
  }
  complete(steps.length, true)
  return events
}
