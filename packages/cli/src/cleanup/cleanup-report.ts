import type { FamilyCleanup, LeftChain } from '@pointsman/backend-iptables'
import type { Iptables } from 'node-iptables'
import { describeIptables } from '../machine/open-iptables.js'
import type { Style } from '../output/colour.js'
import { countOf } from '../output/duration.js'
import type { Document } from '../output/json.js'

/** What was, or would be, removed from the tables of one family and variant. */
export interface Cleaned extends FamilyCleanup {
  readonly iptables: Pick<Iptables, 'capabilities'>
}

/** What was removed, and what was left and why: a line each. Where there was nothing, that is said once. */
export function cleanedText(all: readonly Cleaned[], style: Style): readonly string[] {
  const told = all.filter((cleaned) => !hasNothing(cleaned) || cleaned.left.length > 0)
  if (told.length === 0) return [`nothing to remove: ${all.map(place).join('; ')}`]
  return told.flatMap((cleaned) => [
    hasNothing(cleaned)
      ? `nothing to remove: ${place(cleaned)}`
      : `${style.bold(`removed ${amount(cleaned)}`)}: ${place(cleaned)}`,
    ...cleaned.left.flatMap(({ table, chain, becauseOf }) => [
      `  ${style.yellow(`left ${table} ${chain}`)}, ${reason(becauseOf)}`,
      ...becauseOf.map((rule) => `    ${rule}`),
    ]),
  ])
}

/** What would be given to iptables-restore, with the rest as comments. */
export function* dryCleanupLines(all: readonly Cleaned[]): Generator<string, void, undefined> {
  for (const cleaned of all) {
    yield hasNothing(cleaned)
      ? `# nothing to remove: ${place(cleaned)}`
      : `# would remove ${amount(cleaned)}: ${place(cleaned)}`
    for (const { table, chain, becauseOf } of cleaned.left) {
      yield `#   would leave ${table} ${chain}, ${reason(becauseOf)}`
      for (const rule of becauseOf) yield `#     ${rule}`
    }
    yield* cleaned.lines
  }
}

export const cleanupDocument = (all: readonly Cleaned[], { dryRun }: { readonly dryRun: boolean }): Document => ({
  kind: 'CleanupSummary',
  dryRun,
  items: all.map(({ family, iptables: { capabilities }, removedRules, removedChains, left }) => ({
    family,
    variant: capabilities.variant,
    iptables: capabilities.version,
    removedRules,
    removedChains,
    left,
  })),
})

const hasNothing = ({ lines }: Cleaned): boolean => lines.length === 0

const amount = ({ removedRules, removedChains }: Cleaned): string =>
  `${countOf(removedRules, 'rule')} and ${countOf(removedChains.length, 'chain')}`

const place = ({ family, iptables }: Cleaned): string => `${family}, ${describeIptables(iptables)}`

const reason = (becauseOf: LeftChain['becauseOf']): string =>
  becauseOf.length === 0
    ? 'as it is, with the jumps to it: kubelet uses it too'
    : 'empty: it can be deleted once no rule of others leads to it'
