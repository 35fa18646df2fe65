import { seq } from '@pointsman/core'
import { describe, expect, it } from 'vitest'
import { createPendingBySeq } from './change-metrics.js'

describe('what waits for a sync', () => {
  it('is taken by the sync that carries it, in order', () => {
    const pending = createPendingBySeq<string>()
    for (const [position, item] of ['a', 'b', 'c'].entries()) pending.add(seq(position + 1), item)
    expect(pending.takeUpTo(seq(2))).toEqual(['a', 'b'])
    expect(pending.size).toBe(1)
    expect(pending.takeUpTo(seq(2))).toEqual([])
    expect(pending.takeUpTo(seq(9))).toEqual(['c'])
    expect(pending.size).toBe(0)
  })

  it('goes when nobody waits for it any longer', () => {
    const pending = createPendingBySeq<string>()
    for (const [position, item] of ['a', 'b', 'a'].entries()) pending.add(seq(position + 1), item)
    pending.drop((item) => item === 'a')
    expect([pending.size, pending.takeUpTo(seq(3))]).toEqual([1, ['b']])
  })

  it('takes no more memory beyond a limit, is counted all the same, and waits for the sync that carries all of it', () => {
    const pending = createPendingBySeq<number>(3)
    for (let position = 1; position <= 10; position++) pending.add(seq(position), position)
    expect(pending.size).toBe(10)
    expect(pending.takeUpTo(seq(9))).toEqual([1, 2])
    expect(pending.size).toBe(8)
    expect(pending.takeUpTo(seq(10))).toEqual([3])
    expect(pending.size).toBe(0)
  })
})
