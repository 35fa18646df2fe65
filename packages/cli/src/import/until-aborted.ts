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
  let stop = (): void => undefined
  const aborted = new Promise<undefined>((resolve) => (stop = () => resolve(undefined)))
  signal.addEventListener('abort', stop)
  try {
    while (!signal.aborted) {
      const next = await Promise.race([iterator.next(), aborted])
      if (next === undefined || next.done === true) return
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', stop)
    // Not awaited: a stream that is waiting for input would never end.
    if (signal.aborted) void iterator.return?.().then(undefined, () => undefined)
  }
}
