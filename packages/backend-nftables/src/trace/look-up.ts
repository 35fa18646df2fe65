import {
  bothOdds,
  CERTAIN,
  dyadicOdds,
  isImpossible,
  type Odds,
  oneIn,
  otherOdds,
  parseAddress,
  sumOfOdds,
} from '@pointsman/core'
import { addressOrder, type Case, type Claim } from '@pointsman/core/trace'
import type { Expression, NftElement } from '../listing/model.js'
import { judgeConstant, NUMBERS, orderOf, type Value } from './values.js'

/** Elements of a set or map, found by their keys. */
export interface ElementIndex {
  readonly all: readonly NftElement[]
  /** Those of single values, by their texts. */
  readonly exact: ReadonlyMap<string, NftElement>
  readonly others: readonly NftElement[]
}

const known = new WeakMap<readonly NftElement[], ElementIndex>()

export function indexOf(all: readonly NftElement[]): ElementIndex {
  const found = known.get(all)
  if (found !== undefined) return found
  const exact = new Map<string, NftElement>()
  const others: NftElement[] = []
  for (const element of all) {
    const key = exactKey(element.key)
    if (key === undefined) others.push(element)
    else if (!exact.has(key)) exact.set(key, element)
  }
  const index = { all, exact, others }
  known.set(all, index)
  return index
}

function exactKey(key: Expression): string | undefined {
  const parts = key.type === 'concat' ? key.parts : [key]
  const texts: string[] = []
  for (const part of parts) {
    if (part.type !== 'literal') return undefined
    const { value } = part
    const number = typeof value === 'number' ? value : NUMBERS[value]
    if (number !== undefined) texts.push(orderOf('number', number))
    else if (parseAddress(String(value)) !== undefined) texts.push(addressOrder(String(value)))
    else return undefined
  }
  return texts.join(' ')
}

/** What a key is found to lead to, each with its odds; absent: to nothing. */
export interface Found {
  readonly element: NftElement | undefined
  readonly odds: Odds
}

/** The element of a key in a case; with chance in it, each that there can be. */
export function lookUp(
  value: Value,
  index: ElementIndex,
  supposed: Case | undefined,
): { readonly found: readonly Found[] } | { readonly unknown: Claim } {
  const chance = chanceIn(value)
  if (chance === undefined) {
    const one = lookUpOne(value, index, supposed)
    return 'unknown' in one ? one : { found: [{ element: one.element, odds: CERTAIN }] }
  }
  if (chance.count > MOST_VALUES) return { found: byRanges(chance, index) }
  const counts = new Map<NftElement | undefined, number>()
  for (let at = 0; at < chance.count; at++) {
    const one = lookUpOne(withChance(value, chance.first + at), index, supposed)
    if ('unknown' in one) return one
    counts.set(one.element, (counts.get(one.element) ?? 0) + 1)
  }
  return { found: [...counts].map(([element, count]) => ({ element, odds: share(count, chance.count) })) }
}

/** Numbers that chance can come to which are tried one by one. */
const MOST_VALUES = 4096

export const share = (count: number, of: number): Odds => bothOdds(dyadicOdds(count, 0), oneIn(of))

type Chance = Extract<Value, { readonly type: 'chance' }>

export const chanceIn = (value: Value): Chance | undefined =>
  value.type === 'chance'
    ? value
    : value.type === 'concat'
      ? value.parts.find((part): part is Chance => part.type === 'chance')
      : undefined

function withChance(value: Value, number: number): Value {
  const one: Value = {
    type: 'known',
    kind: 'number',
    order: orderOf('number', number),
    told: `chance came to ${number}`,
  }
  if (value.type !== 'concat') return one
  return { type: 'concat', parts: value.parts.map((part) => (part.type === 'chance' ? one : part)) }
}

function byRanges(chance: Chance, { all }: ElementIndex): readonly Found[] {
  const found = all.flatMap((element): readonly Found[] => {
    const count = countIn(chance, element.key)
    return count === 0 ? [] : [{ element, odds: share(count, chance.count) }]
  })
  const rest = otherOdds(sumOfOdds(found.map(({ odds }) => odds)))
  return isImpossible(rest) ? found : [...found, { element: undefined, odds: rest }]
}

/** How many of its numbers a constant stands for. */
export function countIn({ first, count }: Chance, constant: Expression): number {
  const [low, high] =
    constant.type === 'range'
      ? [constant.low, constant.high].map((one) => (one.type === 'literal' ? Number(one.value) : Number.NaN))
      : constant.type === 'literal'
        ? [Number(constant.value), Number(constant.value)]
        : constant.type === 'any'
          ? [first, first + count - 1]
          : [Number.NaN, Number.NaN]
  if (low === undefined || high === undefined || Number.isNaN(low) || Number.isNaN(high)) return 0
  return Math.max(0, Math.min(high, first + count - 1) - Math.max(low, first) + 1)
}

function lookUpOne(
  value: Value,
  { all, exact, others }: ElementIndex,
  supposed: Case | undefined,
): { readonly element: NftElement | undefined } | { readonly unknown: Claim } {
  const key = keyOf(value)
  const hit = key === undefined ? undefined : exact.get(key)
  if (hit !== undefined) return { element: hit }
  for (const element of key === undefined ? all : others) {
    const finding = judgeConstant(value, element.key, supposed)
    if (finding.unknown !== undefined) return { unknown: finding.unknown }
    if (finding.holds) return { element }
  }
  return { element: undefined }
}

/** Undefined: it is not known, or no address or number, so that elements are tried one by one. */
export function keyOf(value: Value): string | undefined {
  const parts = value.type === 'concat' ? value.parts : [value]
  const texts: string[] = []
  for (const part of parts) {
    if (part.type === 'known' && part.kind !== 'name') texts.push(part.order)
    else if (part.type === 'mark' && part.mark.unknown === 0) texts.push(orderOf('number', part.mark.value))
    else return undefined
  }
  return texts.join(' ')
}
