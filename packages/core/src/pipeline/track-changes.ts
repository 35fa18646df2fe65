import { Observable, type OperatorFunction } from 'rxjs'
import type { ObjectKind } from '../model/kubernetes-object.js'
import type { StateFold } from '../state/state-fold.js'
import type { Recorded } from './record.js'

/** Kinds without which rules would be guesses: nothing is synced before both lists were there once. */
const NEEDED: readonly ObjectKind[] = ['Service', 'EndpointSlice']

/**
 * Tracks each event in the fold, and emits when there is something to sync: from the moment that Services and
 * EndpointSlices have both been received once. `received` says which had been before (restored from a log). A source that
 * completes is complete: a recording without bookmarks has said all that it has to say.
 */
export function trackChanges(fold: StateFold, received: Iterable<ObjectKind> = []): OperatorFunction<Recorded, void> {
  return (source) =>
    new Observable<void>((subscriber) => {
      const complete = new Set(received)
      let ready = NEEDED.every((kind) => complete.has(kind))
      let heldBack = false
      if (ready && fold.trackedSeq > fold.state.seq) subscriber.next()

      return source.subscribe({
        next: ({ seq, event }) => {
          fold.track(seq, event)
          if (event.type === 'BOOKMARK' && event.initialEventsEnd) complete.add(event.kind)
          ready ||= NEEDED.every((kind) => complete.has(kind))
          if (ready) subscriber.next()
          else heldBack = true
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (!ready && heldBack) subscriber.next()
          subscriber.complete()
        },
      })
    })
}
