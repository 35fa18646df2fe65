import type { MissedRule, Step, Way } from '@pointsman/core'
import { tellingRules, type IsTelling } from './missed-rules.js'
import { oddsText } from './odds-text.js'
import { effectText, whyNot } from './rule-text.js'

/** A line of the table that shows a packet's ways. */
export interface WayRow {
  readonly kind: 'hook' | 'policy' | 'rule' | 'missed' | 'note'
  readonly depth: number
  /** On the first line of a branch. */
  readonly odds: string
  /** Where: `KUBE-SERVICES 12`, `PREROUTING nat`. */
  readonly place: string
  /** What the rule asks. */
  readonly asks: string
  /** What becomes of the packet, or why the rule did not match. */
  readonly outcome: string
  readonly comment: string
}

export interface RowOptions {
  /** Tell every branch, and every rule that did not match as far as the trace holds it. */
  readonly wide: boolean
}

/**
 * The ways as one indented table: what they have in common once, then each branch with its odds, then once more what all
 * branches have in common in the end.
 */
export function wayRows(ways: readonly Way[], { wide }: RowOptions): readonly WayRow[] {
  const isTelling: IsTelling = wide ? (): boolean => true : tellingRules(ways)
  const split = commonSteps(ways)
  const trunk = rowsOf(ways[0]?.steps.slice(0, split) ?? [], isTelling)
  if (ways.length < 2) return trunk
  const branches = ways.map(({ steps }) => rowsOf(steps.slice(split), isTelling))
  const start = commonCount(branches)
  const rest = branches.map((branch) => branch.slice(start))
  const end = commonTail(rest)
  const limit = wide ? ways.length : BRANCHES
  const shown = rest
    .slice(0, limit)
    .flatMap((branch, index) => branchRows(branch.slice(0, branch.length - end), ways[index]))
  const more = ways.length - limit
  const tail = end === 0 ? [] : (rest[0]?.slice(-end) ?? [])
  return [
    ...trunk,
    ...(branches[0]?.slice(0, start) ?? []),
    ...shown,
    ...(more > 0 ? [note(`and ${more} branches more: -o wide tells them`, shown[0]?.depth ?? 0)] : []),
    ...tail,
  ]
}

const BRANCHES = 4

/** How many steps all ways begin with: ways that part have these in common, as objects. */
function commonSteps(ways: readonly Way[]): number {
  const [first, ...others] = ways
  const steps = first?.steps ?? []
  const end = steps.findIndex((step, index) => others.some((way) => way.steps[index] !== step))
  return end < 0 ? steps.length : end
}

/** How many rows all branches begin with. */
function commonCount([first = [], ...others]: readonly (readonly WayRow[])[]): number {
  const end = first.findIndex((row, index) => others.some((branch) => !isSame(branch[index], row)))
  return end < 0 ? first.length : end
}

/** How many rows all branches end with, whole tables alone. */
function commonTail(branches: readonly (readonly WayRow[])[]): number {
  const [first = []] = branches
  let count = commonCount(branches.map((branch) => branch.toReversed()))
  while (count > 0 && first.at(-count)?.kind !== 'hook') count--
  return count
}

const isSame = (one: WayRow | undefined, other: WayRow): boolean => JSON.stringify(one) === JSON.stringify(other)

function branchRows([first, ...rest]: readonly WayRow[], way: Way | undefined): readonly WayRow[] {
  if (first === undefined || way === undefined) return []
  return [{ ...first, odds: oddsText(way.odds) }, ...rest]
}

function rowsOf(steps: readonly Step[], isTelling: IsTelling): readonly WayRow[] {
  const isSent = (step: Step): boolean => step.type === 'rule' && step.effect.type === 'dnat'
  const sentAt = steps.findIndex(isSent)
  return steps.flatMap((step, index): readonly WayRow[] => {
    const rewritten = sentAt >= 0 && index > sentAt
    switch (step.type) {
      case 'table':
        return isQuiet(step, steps[index + 1]) ? [] : [hook(`${step.hook} ${step.table}`)]
      case 'policy':
        return isQuiet(steps[index - 1], step)
          ? []
          : [{ ...hook('the policy', step.policy === 'DROP' ? 'dropped' : 'accepted'), kind: 'policy', depth: 1 }]
      case 'unasked':
        return [hook(`${step.hook} ${step.table}`, `is not asked: ${step.because}`)]
      case 'routing':
        return [hook(ROUTING[step.to])]
      case 'conntrack':
        return [hook('conntrack', effectText(step.effect))]
      case 'again':
        return [note(`${step.chain} as before`, step.depth + 1)]
      case 'passed':
        return missedRows(
          step.missed.filter((missed) => isTelling(missed, { rewritten })),
          step,
        )
      case 'rule':
        return [
          {
            kind: 'rule',
            depth: step.depth + 1,
            odds: '',
            place: `${step.chain} ${step.number}`,
            asks: step.rule.match,
            outcome: effectText(step.effect),
            // kube-proxy's own advice to editors comes after a semicolon.
            comment: step.rule.comment.split(';', 1)[0] ?? '',
          },
        ]
    }
  })
}

/** A table that has no rules and lets everything go on. */
const isQuiet = (table: Step | undefined, next: Step | undefined): boolean =>
  table?.type === 'table' && table.rules === 0 && next?.type === 'policy' && next.policy === 'ACCEPT'

const hook = (place: string, outcome = ''): WayRow => ({
  kind: 'hook',
  depth: 0,
  odds: '',
  place,
  asks: '',
  outcome,
  comment: '',
})

const note = (text: string, depth: number): WayRow => ({ ...hook(text), kind: 'note', depth })

const ROUTING = {
  node: 'for the node itself',
  forward: 'forwarded',
  out: 'sent on its way',
} as const

/** Those in a row that ask for the same kind of thing and fail by the same fact are told once, with their number. */
function missedRows(
  missed: readonly MissedRule[],
  { chain, depth }: { readonly chain: string; readonly depth: number },
): readonly WayRow[] {
  const groups: MissedRule[][] = []
  for (const rule of missed) {
    const group = groups.at(-1)
    const first = group?.[0]
    if (group !== undefined && first !== undefined && isAlike(first, rule)) group.push(rule)
    else groups.push([rule])
  }
  return groups.flatMap((group) => {
    const [first] = group
    const last = group.at(-1)
    if (first === undefined || last === undefined) return []
    const numbers = group.length === 1 ? String(first.number) : `${first.number}-${last.number}`
    return [
      {
        kind: 'missed' as const,
        depth: depth + 1,
        odds: '',
        place: `${chain} ${numbers}`,
        asks: `${first.rule.match}${group.length === 1 ? '' : ', and so on'}`,
        outcome: `no: ${whyNot(first.conditions)}`,
        comment: '',
      },
    ]
  })
}

const isAlike = (one: MissedRule, other: MissedRule): boolean =>
  whyNot(one.conditions) === whyNot(other.conditions) && one.rule.kind === other.rule.kind
