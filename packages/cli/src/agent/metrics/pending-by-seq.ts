import type { Seq } from '@pointsman/core'

/** Things that wait for the sync that carries them. */
export interface PendingBySeq<Item> {
  readonly size: number
  /** In order of seq. */
  add(seq: Seq, item: Item): void
  /** Takes out what a sync up to `seq` carried. */
  takeUpTo(seq: Seq): readonly Item[]
  /** Takes out what nobody waits for any longer. */
  drop(isDropped: (item: Item) => boolean): void
}

export function createPendingBySeq<Item>(): PendingBySeq<Item> {
  let waiting: { readonly seq: Seq; readonly item: Item }[] = []
  return {
    get size() {
      return waiting.length
    },
    add: (seq, item) => void waiting.push({ seq, item }),
    takeUpTo(seq) {
      const later = waiting.findIndex((one) => one.seq > seq)
      const taken = later < 0 ? waiting : waiting.slice(0, later)
      waiting = later < 0 ? [] : waiting.slice(later)
      return taken.map(({ item }) => item)
    },
    drop(isDropped) {
      if (waiting.some(({ item }) => isDropped(item))) waiting = waiting.filter(({ item }) => !isDropped(item))
    },
  }
}
