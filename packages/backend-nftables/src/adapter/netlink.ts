import {
  commitElements,
  findElement,
  generation,
  NetfilterError,
  readElements,
  type ElementChange,
  type SetElement,
} from 'node-netfilter'
import { isOfElements, type Transaction } from '../plan/transaction.js'
import { bytesOfElement } from '../table/bytes.js'

/** The part of node-netfilter that is used, in the network namespace of this thread. */
export interface Netlink {
  readonly commitElements: typeof commitElements
  readonly readElements: typeof readElements
  readonly findElement: typeof findElement
  readonly generation: () => Promise<{ readonly id: number }>
  /** Called before a commit that is to make this generation, so that a watch takes it for our own, and with `isMade: false` where it has not. */
  readonly onOwn?: ((generation: number, outcome: { readonly isMade: boolean }) => void) | undefined
  /** Called with each transaction that was committed. */
  readonly onSent?: ((transaction: Transaction) => void) | undefined
}

/** Netlink, where this process can use it. */
export async function openNetlink(calls: Pick<Netlink, 'onOwn' | 'onSent'> = {}): Promise<Netlink | undefined> {
  try {
    await generation()
    return { commitElements, readElements, findElement, generation, ...calls }
  } catch {
    return undefined
  }
}

/**
 * Commits a transaction of elements, and gives the bytes that were sent. Undefined: nothing was done, because it has more than elements,
 * or the kernel refused it, or others changed nf_tables each time: nft(8) can do the first and the third, and says of the second which line is
 * refused.
 */
export async function commitByNetlink(
  transaction: Transaction,
  { commitElements: commit, generation: current, onOwn, onSent }: Netlink,
): Promise<number | undefined> {
  const changes = isOfElements(transaction) ? changesOf(transaction) : undefined
  if (changes === undefined) return undefined
  for (let tries = 0; tries < TRIES; tries++) {
    const { id } = await current()
    const next = (id + 1) >>> 0 || 1
    onOwn?.(next, { isMade: true })
    try {
      const bytes = await commit(changes, { generation: id })
      onSent?.(transaction)
      return bytes
    } catch (error) {
      onOwn?.(next, { isMade: false })
      if (!(error instanceof NetfilterError)) throw error
      if (error.code !== 'CHANGED') return undefined
    }
  }
  return undefined
}

/** Set by set: first all that is deleted, then all that is added. Undefined: one of the elements can only be written by nft. */
function changesOf({ changes, target }: Transaction): readonly ElementChange[] | undefined {
  const { family, name: table } = target.table
  const wanted: ElementChange[] = []
  for (const type of ['delete', 'add'] as const) {
    const bySet = new Map<string, SetElement[]>()
    for (const element of type === 'delete' ? changes.removedElements : changes.newElements) {
      const declaration = target.declarationOf(element.set)
      const encoded = declaration && bytesOfElement(element, declaration)
      if (encoded === undefined) return undefined
      const others = bySet.get(element.set)
      if (others === undefined) bySet.set(element.set, [encoded])
      else others.push(encoded)
    }
    for (const [set, elements] of bySet) wanted.push({ type, family, table, set, elements })
  }
  return wanted
}

const TRIES = 4
