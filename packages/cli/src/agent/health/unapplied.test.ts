import { seq } from '@pointsman/core'
import { describe, expect, it } from 'vitest'
import { afterApplied, type Unapplied, withUnapplied } from './unapplied.js'

const waitingFor = (events: readonly (readonly [number, number])[]): readonly Unapplied[] =>
  events.reduce<readonly Unapplied[]>(
    (waiting, [position, at]) => withUnapplied(waiting, { seq: seq(position), at }),
    [],
  )

describe('events that wait for a sync', () => {
  it('are gathered by the second, and wait since the first of each', () => {
    const waiting = waitingFor([
      [1, 0],
      [2, 999],
      [3, 1000],
      [4, 1500],
    ])
    expect(waiting).toEqual([
      { at: 0, lastSeq: 2 },
      { at: 1000, lastSeq: 4 },
    ])
    expect(afterApplied(waiting, seq(1))).toEqual(waiting)
    expect(afterApplied(waiting, seq(3))).toEqual([{ at: 1000, lastSeq: 4 }])
    expect(afterApplied(waiting, seq(4))).toEqual([])
  })

  it('take no more memory for a week without a sync than for minutes, and the oldest stays', () => {
    const waiting = waitingFor(Array.from({ length: 2000 }, (_, at) => [at + 1, at * 2000] as const))
    expect(waiting).toHaveLength(300)
    expect(waiting[0]).toEqual({ at: 0, lastSeq: 1 })
    expect(afterApplied(waiting, seq(1999))).toHaveLength(1)
    expect(afterApplied(waiting, seq(2000))).toEqual([])
  })
})
