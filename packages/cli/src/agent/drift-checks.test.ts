import { VirtualClock } from '@pointsman/core'
import { Subject } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { driftChecks } from './keep-in-force.js'

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

function checking(tookMs: number): {
  readonly ask: () => void
  readonly passTo: (ms: number) => Promise<void>
  readonly looks: number[]
  readonly told: string[]
  readonly waits: number[]
  readonly failNext: () => void
} {
  const clock = new VirtualClock(0)
  const asked = new Subject<void>()
  const looks: number[] = []
  const told: string[] = []
  const waits: number[] = []
  let fails = false
  const check = async (): Promise<readonly string[]> => {
    looks.push(clock.now())
    await new Promise<void>((resolve) => void clock.schedule(() => resolve(), tookMs))
    if (!fails) return ['nat KUBE-SERVICES']
    fails = false
    throw new Error('somebody holds the lock')
  }
  driftChecks({ asked, check, intervalMs: 60_000, minIntervalMs: 1000 }, clock).subscribe((outcome) => {
    waits.push(outcome.waitedMs)
    told.push(outcome.type === 'failed' ? `${clock.now()}: failed` : `${clock.now()}: ${outcome.drifts.join()}`)
  })
  return {
    looks,
    told,
    waits,
    ask: () => asked.next(),
    failNext: () => (fails = true),
    async passTo(ms) {
      while (clock.nextAt !== undefined && clock.nextAt <= ms) {
        await clock.advanceTo(clock.nextAt)
        await settle()
      }
      await clock.advanceTo(ms)
      await settle()
    },
  }
}

describe('looks for drift', () => {
  it('are not taken before they were asked for once, and then at an interval', async () => {
    const { ask, passTo, looks } = checking(0)
    await passTo(200_000)
    expect(looks).toEqual([])
    ask()
    await passTo(330_000)
    expect(looks).toEqual([200_000, 260_000, 320_000])
  })

  it('are heard of at once, and a second look may follow at once; further ones take a fifth of the time', async () => {
    const { ask, passTo, looks, told, waits } = checking(3000)
    for (const ms of [0, 1000, 5000, 17_000, 32_000]) {
      await passTo(ms)
      ask()
    }
    await passTo(50_000)
    expect(told.slice(0, 2)).toEqual(['3000: nat KUBE-SERVICES', '7000: nat KUBE-SERVICES'])
    // From the second on each waits for the pause of the one before it, and the least interval after that.
    expect(looks).toEqual([0, 4000, 19_000, 34_000])
    // Asked for at 0, 1, 5, 17 and 32 s.
    expect(waits).toEqual([0, 3000, 14_000, 2000])
  })

  it('may follow one another again after a quiet time', async () => {
    const { ask, passTo, looks } = checking(3000)
    for (const ms of [0, 1000, 40_000, 41_000]) {
      await passTo(ms)
      ask()
    }
    await passTo(50_000)
    expect(looks).toEqual([0, 4000, 40_000, 44_000])
  })

  it('are not put off for longer than the interval by one that took long, or by a clock that jumped meanwhile', async () => {
    const { ask, passTo, looks } = checking(3_600_000)
    ask()
    await passTo(10_000)
    ask()
    await passTo(3_700_000)
    ask()
    await passTo(7_300_000)
    // The second may follow at once, and the third after the interval.
    expect(looks).toEqual([0, 3_601_000, 7_261_000])
  })

  it('are taken again soon after one failed', async () => {
    const { ask, passTo, looks, told, failNext } = checking(0)
    failNext()
    ask()
    await passTo(5000)
    expect(looks).toEqual([0, 1000])
    expect(told).toEqual(['0: failed', '1000: nat KUBE-SERVICES'])
  })
})
