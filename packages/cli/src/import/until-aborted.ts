/** The items of a stream until it ends or the signal comes; what is waited for by then, such as an idle pipe, is left. */
export async function* untilAborted<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item> {
  if (signal === undefined) {
    yield* items
    return
  }
  const iterator = items[Symbol.asyncIterator]()
  try {
    while (!signal.aborted) {
      const next = await unlessAborted(iterator.next(), signal)
      if (next === undefined || next.done === true) return
      yield next.value
    }
  } finally {
    // Not awaited: a stream that is waiting for input would never end.
    if (signal.aborted) void iterator.return?.().then(undefined, () => undefined)
  }
}

/**
 * The promise's value, or undefined when the signal comes first. A promise of the abort, raced again and again, would hold
 * on to the value of every race.
 */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined)
    signal.addEventListener('abort', stop)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
