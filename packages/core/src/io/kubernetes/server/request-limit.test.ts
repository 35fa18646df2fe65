import { expect, it } from 'vitest'
import { createRequestLimit } from './connect-api-server.js'

/** The times at which requests that come at these times may be made; time stands still while one waits. */
async function made(asked: readonly number[], { qps, burst }: { readonly qps: number; readonly burst: number }) {
  let time = 0
  const times: number[] = []
  const wait = async (ms: number): Promise<void> => {
    times.push(time + ms)
  }
  const limit = createRequestLimit({ qps, burst, now: () => time, wait })
  for (const at of asked) {
    time = at
    const before = times.length
    await limit(new AbortController().signal)
    if (times.length === before) times.push(time)
  }
  return times
}

it('lets so many through at once, and the others at the rate', async () => {
  expect(await made([0, 0, 0, 0, 0], { qps: 5, burst: 2 })).toEqual([0, 0, 200, 400, 600])
})

it('has room for a burst again after a pause, and for no more', async () => {
  expect(await made([0, 0, 0, 10_000, 10_000, 10_000], { qps: 5, burst: 2 })).toEqual([
    0, 0, 200, 10_000, 10_000, 10_200,
  ])
})

it('keeps the order of those who wait, however slowly they come', async () => {
  expect(await made([0, 100, 150, 500], { qps: 5, burst: 1 })).toEqual([0, 200, 400, 600])
})

it('holds nobody back without a rate', async () => {
  expect(await made([0, 0, 0], { qps: 0, burst: 1 })).toEqual([0, 0, 0])
})

it('takes nothing from those who come after one that gave up', async () => {
  const controller = new AbortController()
  const waits: number[] = []
  const wait = async (ms: number): Promise<void> => {
    waits.push(ms)
    if (waits.length === 1) throw new Error('aborted')
  }
  const limit = createRequestLimit({ qps: 1, burst: 1, now: () => 0, wait })
  await limit(controller.signal)
  await expect(limit(controller.signal)).rejects.toThrow('aborted')
  await limit(controller.signal)
  expect(waits).toEqual([1000, 1000])
})
