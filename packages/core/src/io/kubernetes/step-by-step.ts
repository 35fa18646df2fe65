import { Observable, type SchedulerLike, Subscription } from 'rxjs'

/** What a step ends with: the state that the next one begins with, and the pause before it. */
export interface Next<State> {
  readonly type: 'next'
  readonly state: State
  readonly waitMs: number
}

/**
 * Runs one step after another, with pauses, for as long as it is subscribed: each step's last value is its `Next`. Other values
 * pass. A step that completes without a `Next` ends it all; so does one that fails. One step runs at a time, and however many
 * have run, none of them is held on to.
 */
export function stepByStep<State, Item extends { readonly type: string }>(
  first: State,
  run: (state: State) => Observable<Item | Next<State>>,
  scheduler: SchedulerLike,
): Observable<Item> {
  return new Observable<Item>((subscriber) => {
    let current = new Subscription()
    const isNext = (value: Item | Next<State>): value is Next<State> => value.type === 'next'

    const start = (state: State): void => {
      let next: Next<State> | undefined
      current = run(state).subscribe({
        next: (value) => {
          if (isNext(value)) next = value
          else subscriber.next(value)
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (next === undefined) subscriber.complete()
          else pause(next)
        },
      })
      if (subscriber.closed) current.unsubscribe()
    }

    const pause = ({ state, waitMs }: Next<State>): void => {
      if (subscriber.closed) return
      current = scheduler.schedule(() => start(state), waitMs)
    }

    start(first)
    return () => current.unsubscribe()
  })
}
