import { VirtualClock } from '@pointsman/core'
import type { PruneOptions } from '@pointsman/core/io'
import { expect, test } from 'vitest'
import { retention } from './retention.js'

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('a log is kept as long and as large as it may be, from a minute after the start', async () => {
  const clock = new VirtualClock(0)
  const asked: PruneOptions[] = []
  const removed: number[] = []
  const writer = { prune: async (options: PruneOptions) => ({ removed: asked.push(options), bytes: 1 }) }
  const running = retention(writer, { logMaxAgeMs: 3_600_000 }, clock).subscribe((count) => removed.push(count))
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
