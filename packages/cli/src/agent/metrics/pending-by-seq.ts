import type { Seq } from '@pointsman/core'

/** Things that wait for the sync that carries them. */
export interface PendingBySeq<Item> {
  /** How many wait, those included that are not kept one by one. */
  readonly size: number
  /** In order of seq. */
  add(seq: Seq, item: Item): void
  /** Takes out what a sync up to `seq` carried. */
  takeUpTo(seq: Seq): readonly Item[]
  /** Takes out what nobody waits for any longer. */
  drop(isDropped: (item: Item) => boolean): void
}

interface Waiting<Item> {
  readonly seq: Seq
  readonly item: Item
  readonly count: number
}

/** However long no sync succeeds, no more than `limit` are kept: what comes then is counted with the last of them. */
export function createPendingBySeq<Item>(limit = 10_000): PendingBySeq<Item> {
  let waiting: Waiting<Item>[] = []
  let size = 0

  const keep = (kept: Waiting<Item>[]): void => {
    waiting = kept
    size = kept.reduce((sum, { count }) => sum + count, 0)
  }

  return {
    get size() {
      return size
    },
    add(seq, item) {
      size++
      const last = waiting.length < limit ? undefined : waiting.pop()
      waiting.push(last === undefined ? { seq, item, count: 1 } : { ...last, seq, count: last.count + 1 })
    },
    takeUpTo(seq) {
      const later = waiting.findIndex((one) => one.seq > seq)
      const taken = later < 0 ? waiting : waiting.slice(0, later)
      keep(later < 0 ? [] : waiting.slice(later))
      return taken.map(({ item }) => item)
    },
    drop(isDropped) {
      if (waiting.some(({ item }) => isDropped(item))) keep(waiting.filter(({ item }) => !isDropped(item)))
    },
  }
}
