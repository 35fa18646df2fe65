import type { Odds, PassedRules } from '@pointsman/core'
import { ALWAYS, eitherOf, type When } from './suppositions.js'
import { type PartialWay, withStep } from './traced-packet.js'

/**
 * Ways that came to the same in different cases of unknown facts, as one. Those that chance parted stay: the odds of each are
 * an object of its own.
 */
export function joined<T extends { readonly way: PartialWay; readonly verdict?: unknown }>(
  all: readonly T[],
  { table, chain, depth }: Pick<PassedRules, 'table' | 'chain' | 'depth'>,
): readonly T[] {
  if (all.length < 2 || all.every(({ way }) => way.when === ALWAYS)) return all
  const oddsNumbers = new Map<Odds, number>()
  const groups = new Map<string, { readonly first: T; when: When; count: number }>()
  for (const one of all) {
    const { way, verdict } = one
    const number = oddsNumbers.get(way.odds) ?? oddsNumbers.size
    oddsNumbers.set(way.odds, number)
    const key = `${number} ${JSON.stringify([way.packet, verdict])}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { first: one, when: way.when, count: 1 })
    else {
      group.when = eitherOf(group.when, way.when)
      group.count += 1
    }
  }
  return [...groups.values()].map(({ first, when, count }) => {
    if (count === 1) return first
    const way = withStep({ ...first.way, when }, { type: 'joined', table, chain, depth })
    return { ...first, way }
  })
}
