import type { Assumption, Odds } from '@pointsman/core'

/** What a condition comes to: whether it holds, and the fact that decides, which is the same for its contrary. */
export interface Finding {
  readonly holds: boolean
  readonly because: string
  /** The odds of holding, where chance decides. */
  readonly odds?: Odds | undefined
  /** Nobody knows the fact: this was taken for granted. */
  readonly assumption?: Assumption | undefined
}

export const known = (holds: boolean, because: string): Finding => ({ holds, because })

/** `because` is the message in short. */
export const assumed = (holds: boolean, because: string, assumption: Assumption): Finding => ({
  holds,
  because,
  assumption,
})

/** The finding of the condition with or without `!`. */
export const negatedIf = (negated: boolean, finding: Finding): Finding =>
  negated ? { ...finding, holds: !finding.holds } : finding

/** Of conditions that must all hold. None: holds. */
export function allOf(findings: readonly Finding[]): Finding {
  const fails = findings.filter(({ holds }) => !holds)
  const deciding = fails.find(({ assumption }) => assumption === undefined) ?? fails[0]
  if (deciding !== undefined) return deciding
  const assumption = findings.find((finding) => finding.assumption !== undefined)?.assumption
  return { holds: true, because: findings.map(({ because }) => because).join(', '), assumption }
}
