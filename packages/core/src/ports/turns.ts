/** Runs one piece of work after the other, in the order in which they are given. */
export function createTurns(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work)
    // The caller of a failed one has its error.
    last = mine.catch(() => undefined)
    return mine
  }
}
