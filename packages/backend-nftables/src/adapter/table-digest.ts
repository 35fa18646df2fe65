import { digestOfPart, minusDigest, plusDigest, type DigestSum, type IpFamily } from '@pointsman/core'
import { elementIdentity, hookIdentity, ruleIdentity, setIdentity } from '../table/canonical.js'
import type { Table } from '../table/table.js'

/** What a table, or a part of one, has: equal where the tables are. Rules of a chain are in order, all else has none. */
export interface TableSum {
  /** Rules and elements. */
  readonly count: number
  readonly digest: DigestSum
}

export const EMPTY_SUM: TableSum = { count: 0, digest: 0n }

/** `174 3ad…`: what `sumOfText` reads. */
export const sumText = ({ count, digest }: TableSum): string => `${count} ${digest.toString(16)}`

export function sumOfText(text: string): readonly TableSum[] {
  const [, count, digest] = /^(\d+) ([\da-f]+)$/.exec(text) ?? []
  return digest === undefined ? [] : [{ count: Number(count), digest: BigInt(`0x${digest}`) }]
}

export const plus = (a: TableSum, b: TableSum): TableSum => ({
  count: a.count + b.count,
  digest: plusDigest(a.digest, b.digest),
})

export const minus = (a: TableSum, b: TableSum): TableSum => ({
  count: a.count - b.count,
  digest: minusDigest(a.digest, b.digest),
})

export function sumOfTable(family: IpFamily, { chains, sets }: Table): TableSum {
  let digest: DigestSum = 0n
  let count = 0
  const add = (text: string): void => void (digest = plusDigest(digest, digestOfPart(`${family} ${text}`)))
  for (const chain of chains.values()) {
    add([`chain ${chain.name} ${hookIdentity(chain)}`, ...chain.rules.map(ruleIdentity)].join('\n'))
    count += chain.rules.length
  }
  for (const { declaration, elements } of sets.values()) {
    add(`set ${declaration.name} ${setIdentity(declaration)}`)
    for (const element of elements.values()) add(`element ${element.set} ${elementIdentity(element)}`)
    count += elements.size
  }
  return { count, digest }
}
