import {
  from,
  type MonoTypeOperatorFunction,
  Observable,
  type ObservableInput,
  type OperatorFunction,
  take,
} from 'rxjs'
import type { ObjectKind } from '../model/kubernetes-object.js'
import type { StateFold } from '../state/state-fold.js'
import type { Recorded } from './recorder.js'

/** Kinds without which rules would be guesses: nothing is synced before both lists were there once. */
const NEEDED: readonly ObjectKind[] = ['Service', 'EndpointSlice']

export interface TrackOptions {
  /** Kinds that had been received before: restored from a log. Default: none. */
  readonly received?: Iterable<ObjectKind>
  /** What the end of the events means: a recording has said all that it has to say, a live source was cut short. */
  readonly atEnd?: 'whole' | 'cut-short'
  /** Kinds that no rule is made from: they are tracked, and ask for no sync. Default: none. */
  readonly without?: readonly ObjectKind[]
}

/**
 * Tracks each event in the fold, and emits when there is something to sync: from the moment that Services and
 * EndpointSlices have both been received once, or that the events have ended and are whole.
 */
export function trackChanges(
  fold: StateFold,
  { received = [], atEnd = 'whole', without = [] }: TrackOptions = {},
): OperatorFunction<Recorded, void> {
  return (source) =>
    new Observable<void>((subscriber) => {
      const complete = new Set(received)
      let ready = NEEDED.every((kind) => complete.has(kind))
      let heldBack = false
      if (ready && fold.trackedSeq > fold.state.seq) subscriber.next()

      return source.subscribe({
        next: ({ seq, event }) => {
          fold.track(seq, event)
          // How far a watch has come changes no rule.
          if (event.type === 'BOOKMARK' && !event.initialEventsEnd) return
          if (event.type === 'BOOKMARK') complete.add(event.kind)
          if (without.includes(event.type === 'BOOKMARK' ? event.kind : event.object.kind)) return
          ready ||= NEEDED.every((kind) => complete.has(kind))
          if (ready) subscriber.next()
          else heldBack = true
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (!ready && heldBack && atEnd === 'whole') subscriber.next()
          subscriber.complete()
        },
      })
    })
}

/** Lets nothing pass before the word is given; then the last that came before it, and from there on everything. An end is no word. */
export function heldUntil<Value>(word: ObservableInput<unknown>): MonoTypeOperatorFunction<Value> {
  return (source) =>
    new Observable<Value>((subscriber) => {
      let given = false
      let held: { readonly value: Value } | undefined
      const release = (): void => {
        given = true
        if (held !== undefined) subscriber.next(held.value)
        held = undefined
      }
      subscriber.add(
        from(word)
          .pipe(take(1))
          .subscribe({ next: release, error: (error: unknown) => subscriber.error(error) }),
      )
      subscriber.add(
        source.subscribe({
          next: (value) => {
            if (given) subscriber.next(value)
            else held = { value }
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      )
    })
}
