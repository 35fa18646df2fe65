import { type ChangeLogWriter, seq, VirtualClock } from '@pointsman/core'
import type { PruneOptions } from '@pointsman/core/io'
import { expect, test } from 'vitest'
import { retention, sizeLimited } from './open-agent-log.js'

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('a log is kept as long and as large as it may be, from a minute after the start', async () => {
  const clock = new VirtualClock(0)
  const asked: PruneOptions[] = []
  const removed: number[] = []
  const writer = { prune: async (options: PruneOptions) => ({ removed: asked.push(options), bytes: 1 }) }
  const running = retention(writer, { logMaxAgeMs: 3_600_000, sizeOf: async () => 0 }, clock).subscribe((count) =>
    removed.push(count),
  )
  for (const time of [59_999, 60_000, 660_000, 1_259_999]) {
    await clock.advanceTo(time)
    await settle()
  }
  running.unsubscribe()
  expect(asked).toEqual([
    { now: 60_000, maxAgeMs: 3_600_000 },
    { now: 660_000, maxAgeMs: 3_600_000 },
  ])
  expect(removed).toEqual([1, 2])
})

test('a log that grows beyond its size is pruned soon, and again when it has grown by a quarter', async () => {
  const clock = new VirtualClock(0)
  let size = 1000
  const prunedAt: number[] = []
  const writer = {
    prune: async ({ now }: PruneOptions) => {
      prunedAt.push(now)
      return { removed: 1, bytes: 2000 }
    },
  }
  const running = retention(writer, { logMaxBytes: 1000, sizeOf: async () => size }, clock).subscribe()
  const passTo = async (time: number): Promise<void> => {
    for (let at = clock.now(); at < time; at += 5000) {
      await clock.advanceTo(Math.min(at + 5000, time))
      await settle()
    }
  }
  await passTo(10_000)
  expect(prunedAt).toEqual([])
  size = 2000
  await passTo(20_000)
  expect(prunedAt).toEqual([15_000])
  size = 2501
  await passTo(25_000)
  running.unsubscribe()
  expect(prunedAt).toEqual([15_000, 25_000])
})

test('a log that retention cannot keep small is full', async () => {
  let size = 1000
  const log: ChangeLogWriter = { head: seq(3), lastObservedAt: 7, append: async () => [] }
  const limited = sizeLimited(log, { file: 'x.db', maxBytes: 1000, sizeOf: async () => size })
  expect([limited.head, limited.lastObservedAt, await limited.append([])]).toEqual([3, 7, []])
  size = 40_000_000
  await expect(limited.append([])).rejects.toMatchObject({
    code: 'LOG_FULL',
    message: expect.stringContaining('exceeds --log-max-size (1000)'),
  })
})
