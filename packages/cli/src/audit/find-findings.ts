import {
  auditMarkBit,
  type AuditFinding,
  auditOtherVariant,
  auditTables,
  isLargeCluster,
  planRuleset,
  type RulesetOptions,
} from '@pointsman/backend-iptables'
import type { IpFamily } from '@pointsman/core'
import type { Variant } from 'node-iptables'
import type { RulesQuestion } from '../input/rules-question.js'
import type { ReadTables } from './table-source.js'

/** A finding, and in which tables it was. */
export interface PlacedFinding extends AuditFinding {
  readonly family: IpFamily
  /** Absent: in a file. */
  readonly variant?: Variant
}

/** All that is to be said of what was read, held against the rules of the state. */
export const findFindings = (
  read: readonly ReadTables[],
  { state, config }: Pick<RulesQuestion, 'state' | 'config'>,
  machine: Omit<RulesetOptions, 'family'>,
): readonly PlacedFinding[] =>
  read.flatMap(({ family, tables, variant, other }) => {
    const ruleset = planRuleset(state, config, { ...machine, family })
    const findings = [
      ...auditTables(ruleset, tables, { keepsStaleChains: isLargeCluster(state, family) }),
      ...auditMarkBit(tables, 2 ** config.masqueradeBit),
    ]
    return [
      ...findings.map((finding) => ({ ...finding, family, ...(variant && { variant }) })),
      ...(other === undefined
        ? []
        : auditOtherVariant(other.tables).map((finding) => ({ ...finding, family, variant: other.variant }))),
    ]
  })

/** Those of the first look that the second had as well. */
export function persisting(
  first: readonly PlacedFinding[],
  second: readonly PlacedFinding[],
): readonly PlacedFinding[] {
  const seen = new Set(first.map((finding) => JSON.stringify(finding)))
  return second.filter((finding) => seen.has(JSON.stringify(finding)))
}
