import type { Odds } from '../model/odds.js'
import type { Assumption } from '../ports/trace.js'
import type { Case, Claim } from './suppositions.js'
import { truthIn } from './suppositions.js'

/** What a condition comes to: whether it holds, and the fact that decides, which is the same for its contrary. */
export interface Finding {
  readonly holds: boolean
  readonly because: string
  /** The odds of holding, where chance decides. */
  readonly odds?: Odds | undefined
  /** The fact is unknown: this was taken for granted. */
  readonly assumption?: Assumption | undefined
  /** The fact is unknown, and the case does not say it: this has to be decided first. */
  readonly unknown?: Claim | undefined
  /** The fact is unknown: the case says it. */
  readonly supposed?: boolean | undefined
}

export const known = (holds: boolean, because: string): Finding => ({ holds, because })

/** `because` is the message in short. */
export const assumed = (holds: boolean, because: string, assumption: Assumption): Finding => ({
  holds,
  because,
  assumption,
})

/** An unknown fact: as the case says, if it does. */
export function claimed(claim: Claim, supposed: Case | undefined): Finding {
  const truth = truthIn(supposed, claim)
  if (truth === undefined) return { holds: true, because: `it is not known whether ${claim.text}`, unknown: claim }
  return {
    holds: truth,
    because: truth ? `here, ${claim.text}` : `here, it is not so that ${claim.text}`,
    supposed: true,
  }
}

/** The finding of the condition with or without `!`. */
export const negatedIf = (negated: boolean, finding: Finding): Finding =>
  negated ? { ...finding, holds: !finding.holds } : finding

/** Of conditions that must all hold. None: holds. */
export function allOf(findings: readonly Finding[]): Finding {
  const fails = findings.filter(({ holds, unknown }) => !holds && unknown === undefined)
  const deciding = fails.find(({ assumption }) => assumption === undefined) ?? fails[0]
  if (deciding !== undefined) return deciding
  const open = findings.find(({ unknown }) => unknown !== undefined)
  if (open !== undefined) return open
  const because = findings.map((finding) => finding.because).join(', ')
  return {
    holds: true,
    because,
    assumption: findings.find(({ assumption }) => assumption !== undefined)?.assumption,
    ...(findings.some(({ supposed }) => supposed === true) && { supposed: true }),
  }
}

/** Of conditions of which one must hold. None: does not. */
export const anyOf = (findings: readonly Finding[]): Finding =>
  negatedIf(true, allOf(findings.map((finding) => negatedIf(true, finding))))
