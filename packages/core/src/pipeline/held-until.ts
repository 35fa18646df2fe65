import { from, type MonoTypeOperatorFunction, Observable, type ObservableInput, take } from 'rxjs'

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
