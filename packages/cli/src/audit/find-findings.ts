import type { AuditFinding, Dataplane, FamilyRules, PlanOptions } from '@pointsman/core'
import type { RulesQuestion } from '../input/rules-question.js'

/** All that is to be said of what was read, held against the rules of the state. */
export const findFindings = (
  read: readonly FamilyRules[],
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  { dataplane, machine }: { readonly dataplane: Dataplane; readonly machine: Omit<PlanOptions, 'family'> },
): readonly AuditFinding[] =>
  read.flatMap(({ family, rules }) => dataplane.audit(rules, { state, config }, { ...machine, family }))

/** Those of the first look that the second had as well. */
export function persisting(first: readonly AuditFinding[], second: readonly AuditFinding[]): readonly AuditFinding[] {
  const seen = new Set(first.map(keyOf))
  return second.filter((finding) => seen.has(keyOf(finding)))
}

const keyOf = ({ expected, found, ...rest }: AuditFinding): string =>
  JSON.stringify([rest, expected?.map(({ line }) => line), found?.map(({ line }) => line)])
