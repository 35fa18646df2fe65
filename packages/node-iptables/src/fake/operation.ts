import type { Variant } from '../capabilities.js'
import type { Family } from '../executables.js'
import { IptablesFormatError } from '../rules/format-error.js'
import { formatRule } from '../rules/format-rule.js'
import type { RestoreLine } from '../rules/restore-line.js'
import type { Counters, Rule } from '../rules/rule.js'
import { canonicalRule } from './canonical-rule.js'
import { isTargetName, usageError } from './check-usage.js'
import type { KernelRule } from './kernel-table.js'
import { usage } from './refusal.js'
import type { KernelReason, Refusal } from './refusal.js'
import { demandsOf, refusedIn } from './rule-demands.js'

/** What one line or command changes in a table. */
export type Operation =
  | { readonly type: 'flush-table' }
  | { readonly type: 'append'; readonly chain: string; readonly rule: ReadRule }
  | { readonly type: 'insert'; readonly chain: string; readonly position: number; readonly rule: ReadRule }
  | { readonly type: 'delete' | 'check'; readonly chain: string; readonly rule: ReadRule }
  | Exclude<RestoreLine, { readonly type: 'blank' | 'comment' | 'table' | 'commit' | 'append' | 'insert' | 'delete' }>

/** A rule that iptables has read without a complaint. */
export interface ReadRule {
  readonly kernelRule: KernelRule
  readonly isGoto: boolean
  /** Why the kernel would refuse it wherever in the table it stands. */
  readonly refused: KernelReason | undefined
}

export interface ReadContext {
  readonly variant: Variant
  readonly family: Family
  readonly table: string
  /** The nfacct objects that there are. */
  readonly objects: ReadonlySet<string>
}

/** Reads a rule as iptables does before it looks at the table. */
export function readRule(
  { chain, rule: given, counters }: { readonly chain: string; readonly rule: Rule; readonly counters?: Counters },
  { variant, family, table, objects }: ReadContext,
): ReadRule | Refusal {
  const rule = canonicalRule(given, family)
  const error = usageError(rule, { variant, family, table, chain })
  if (error !== undefined) return usage(error)
  const text = textOf(rule)
  if (text === undefined) return usage('a rule that no save can print')
  const { target } = rule
  return {
    kernelRule: {
      text,
      to: target !== undefined && leadsToChain(target) ? target.chain : undefined,
      demands: demandsOf(rule),
      endsChain: isUnconditional(rule) && target?.type === 'jump' && VERDICTS.has(target.chain),
      // ip6tables-nft-restore of 1.8.9 reads the counters of rules, and forgets them.
      counters: variant === 'nft' && family === 'IPv6' ? undefined : counters,
      alive: false,
    },
    isGoto: target?.type === 'goto',
    refused: refusedIn(table, { rule, variant, family, objects }),
  }
}

/** Undefined: there is a word in it, such as a comment with a carriage return, that the formatter refuses. */
function textOf(rule: Rule): string | undefined {
  try {
    return formatRule(rule)
  } catch (error) {
    if (error instanceof IptablesFormatError) return undefined
    throw error
  }
}

const VERDICTS: ReadonlySet<string> = new Set(['ACCEPT', 'DROP', 'RETURN', 'QUEUE'])

/** Names that no chain may have. */
export const isVerdict = (name: string): boolean => VERDICTS.has(name)

const leadsToChain = (
  target: NonNullable<Rule['target']>,
): target is Extract<Rule['target'], { type: 'jump' | 'goto' }> =>
  target.type === 'goto' || (target.type === 'jump' && !VERDICTS.has(target.chain) && !isTargetName(target.chain))

const isUnconditional = ({ matches, target: _target, ...general }: Rule): boolean =>
  matches.length === 0 && Object.values(general).every((condition) => condition === undefined)
