import { Observable, type OperatorFunction } from 'rxjs'
import type { Seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import type { Recorder } from './recorder.js'

/** A watch event with its place in the log. */
export interface Recorded {
  readonly seq: Seq
  readonly event: WatchEvent
}

/**
 * Lets an event pass when it is durable, or when the log cannot be waited for. What the log has already does not pass:
 * a watch that is resumed repeats itself.
 */
export function record(recorder: Recorder): OperatorFunction<WatchEvent, Recorded> {
  return (source) =>
    new Observable<Recorded>((subscriber) => {
      let waiting = 0
      let completed = false
      return source.subscribe({
        next: (event) => {
          waiting++
          recorder.put({ type: 'event', event }, (outcome) => {
            waiting--
            if (outcome.type === 'recorded') subscriber.next({ seq: outcome.seq, event })
            if (completed && waiting === 0) subscriber.complete()
          })
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          completed = true
          if (waiting === 0) subscriber.complete()
        },
      })
    })
}
