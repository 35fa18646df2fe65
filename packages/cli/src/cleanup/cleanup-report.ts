import type { CleanedFamily, LeftChain } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { countOf } from '../output/duration.js'
import { toolJson } from '../output/json.js'
import type { CleanupSummaryJson } from './schema.js'

/** What was removed, and what was left and why: a line each. Where there was nothing, that is said once. */
export function cleanedText(all: readonly CleanedFamily[], style: Style): readonly string[] {
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

/** What would be given to the tool, with the rest as comments. */
export function* dryCleanupLines(all: readonly CleanedFamily[]): Generator<string, void, undefined> {
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

export const cleanupDocument = (
  all: readonly CleanedFamily[],
  { dryRun }: { readonly dryRun: boolean },
): CleanupSummaryJson => ({
  kind: 'CleanupSummary',
  dryRun,
  items: all.map(({ family, tool, removedRules, removedChains, left }) => ({
    family,
    ...toolJson(tool),
    removedRules,
    removedChains,
    left,
  })),
})

const hasNothing = ({ lines }: CleanedFamily): boolean => lines.length === 0

const amount = ({ removedRules, removedChains }: CleanedFamily): string =>
  `${countOf(removedRules, 'rule')} and ${countOf(removedChains.length, 'chain')}`

const place = ({ family, tool }: CleanedFamily): string => `${family}, ${tool.name}`

const reason = (becauseOf: LeftChain['becauseOf']): string =>
  becauseOf.length === 0
    ? 'as it is, with the jumps to it: kubelet uses it too'
    : 'empty: it can be deleted once no rule of others leads to it'
