import { expect, test } from 'vitest'
import { untilAborted } from './import-recording.js'

async function* numbers(count: number): AsyncGenerator<number> {
  for (let number = 1; number <= count; number++) yield await Promise.resolve(number)
  if (count < 3) await new Promise(() => undefined)
}

async function taken(items: AsyncIterable<number>, onItem: (item: number) => void): Promise<readonly number[]> {
  const seen: number[] = []
  for await (const item of items) {
    seen.push(item)
    onItem(item)
  }
  return seen
}

test('gives everything where nobody interrupts', async () => {
  expect(await taken(untilAborted(numbers(3), new AbortController().signal), () => undefined)).toEqual([1, 2, 3])
})

test('stops between two items, and while it waits for one that never comes', async () => {
  const between = new AbortController()
  expect(await taken(untilAborted(numbers(9), between.signal), (item) => item === 2 && between.abort())).toEqual([1, 2])
  const idle = new AbortController()
  expect(
    await taken(untilAborted(numbers(2), idle.signal), (item) => item === 2 && queueMicrotask(() => idle.abort())),
  ).toEqual([1, 2])
})
