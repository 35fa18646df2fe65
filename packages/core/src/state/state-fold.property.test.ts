import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import { eventSequenceArbitrary } from '../testing/arbitraries.js'
import { canonicalState } from '../testing/canonical-state.js'
import { buildState, createStateFold, type StateFold } from './state-fold.js'
import type { State } from './state.js'

const nodeName = 'node-a'

test('the folded state is the state of the final objects, however often it was applied on the way', () => {
  fc.assert(
    fc.property(eventSequenceArbitrary(), fc.infiniteStream(fc.boolean()), (events, applyAfter) => {
      const fold = createStateFold({ nodeName })
      for (const event of events) {
        track(fold, event)
        if (applyAfter.next().value) fold.apply()
      }
      fold.apply()
      expect(canonicalState(fold.state)).toBe(
        canonicalState(buildState({ objects: finalObjects(events), nodeName }).state),
      )
    }),
  )
})

test('folds of one digest are of one state, and the digest is that of the final objects', () => {
  fc.assert(
    fc.property(eventSequenceArbitrary(), fc.nat(), (events, cut) => {
      const whole = digestOf(events)
      expect(digestOf(finalObjects(events).map((object) => ({ type: 'ADDED', object, observedAt: 0 })))).toBe(whole)
      const part = events.slice(0, cut % (events.length + 1))
      fc.pre(whole !== undefined && digestOf(part) === whole)
      expect(canonicalState(folded(part))).toBe(canonicalState(folded(events)))
    }),
  )
})

function digestOf(events: readonly WatchEvent[]): string | undefined {
  const fold = createStateFold({ nodeName })
  for (const event of events) track(fold, event)
  fold.apply()
  return fold.objects
}

test('events of different objects may come in any order', () => {
  fc.assert(
    fc.property(eventSequenceArbitrary(), fc.integer(), (events, seed) => {
      const shuffled = shuffleObjects(events, seed)
      expect(canonicalState(folded(shuffled))).toBe(canonicalState(folded(events)))
    }),
  )
})

test('what an application calls changed is what differs, no more and no less', () => {
  fc.assert(
    fc.property(eventSequenceArbitrary(), fc.nat(), (events, at) => {
      const fold = createStateFold({ nodeName })
      const middle = at % (events.length + 1)
      for (const event of events.slice(0, middle)) track(fold, event)
      fold.apply()
      const before = contents(fold.state)
      for (const event of events.slice(middle)) track(fold, event)
      const { changed } = fold.apply()
      const after = contents(fold.state)
      const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
        (id) => before.get(id) !== after.get(id),
      )
      expect([...changed].toSorted()).toEqual(differing.toSorted())
    }),
  )
})

function track(fold: StateFold, event: WatchEvent): void {
  fold.track(seq(fold.trackedSeq + 1), event)
}

function folded(events: readonly WatchEvent[]): State {
  const fold = createStateFold({ nodeName })
  for (const event of events) track(fold, event)
  fold.apply()
  return fold.state
}

/** Each service port and its endpoints as text. */
const contents = ({ services, endpoints }: State): Map<string, string> =>
  new Map(
    [...new Set([...services.keys(), ...endpoints.keys()])].map((id) => [
      id,
      JSON.stringify([services.get(id), endpoints.get(id)]),
    ]),
  )

function finalObjects(events: readonly WatchEvent[]): KubernetesObject[] {
  const objects = new Map<string, KubernetesObject>()
  for (const event of events) {
    if (event.type === 'BOOKMARK') continue
    objects.delete(nameOf(event))
    if (event.type !== 'DELETED') objects.set(nameOf(event), event.object)
  }
  return [...objects.values()]
}

const nameOf = (event: WatchEvent): string =>
  event.type === 'BOOKMARK'
    ? 'bookmark'
    : `${event.object.kind} ${event.object.metadata.namespace ?? ''}/${event.object.metadata.name}`

/** The events of each object in their order, those of different objects mixed anew. */
function shuffleObjects(events: readonly WatchEvent[], seed: number): WatchEvent[] {
  const queues = [...grouped(events).values()].map((queue) => [...queue])
  const mixed: WatchEvent[] = []
  let random = seed
  while (mixed.length < events.length) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    const next = queues[random % queues.length]?.shift()
    if (next !== undefined) mixed.push(next)
  }
  return mixed
}

function grouped(events: readonly WatchEvent[]): Map<string, WatchEvent[]> {
  const groups = new Map<string, WatchEvent[]>()
  for (const event of events) groups.set(nameOf(event), [...(groups.get(nameOf(event)) ?? []), event])
  return groups
}
