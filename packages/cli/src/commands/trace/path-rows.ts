import {
  type Condition,
  type Effect,
  endpointKey,
  type MissedRule,
  type Odds,
  oddsToNumber,
  type Step,
  type Way,
} from '@pointsman/core'

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
  const rows = [{ ...first, odds: oddsText(way.odds) }, ...rest]
  return way.when === undefined ? rows : [note(whenText(way.when), first.depth), ...rows]
}

/** `if it arrives by eth0, and 2 more:`, the newest of what is supposed in the first of the cases in which a way is taken. */
function whenText([first, ...others]: NonNullable<Way['when']>): string {
  const newest = first?.at(-1)
  if (first === undefined || newest === undefined) return 'in some cases:'
  const more = first.length === 1 ? '' : `, and ${first.length - 1} more`
  const also = others.length === 0 ? '' : `, or in ${others.length} other ${others.length === 1 ? 'case' : 'cases'}`
  return `${newest.holds ? 'if' : 'unless'} ${newest.text}${more}${also}:`
}

function rowsOf(steps: readonly Step[], isTelling: IsTelling): readonly WayRow[] {
  const isSent = (step: Step): boolean => step.type === 'rule' && step.effect.type === 'dnat'
  const sentAt = steps.findIndex(isSent)
  return steps.flatMap((step, index): readonly WayRow[] => {
    const rewritten = sentAt >= 0 && index > sentAt
    switch (step.type) {
      case 'table':
        return isQuiet(step, steps[index + 1]) ? [] : [hook(askedText(step))]
      case 'policy':
        return isQuiet(steps[index - 1], step)
          ? []
          : [{ ...hook('the policy', step.policy === 'DROP' ? 'dropped' : 'accepted'), kind: 'policy', depth: 1 }]
      case 'unasked':
        return [hook(askedText(step), `is not consulted: ${step.because}`)]
      case 'routing':
        return [hook(ROUTING[step.to])]
      case 'conntrack':
        return [hook('conntrack', effectText(step.effect))]
      case 'again':
        return [note(`${step.chain} as before`, step.depth + 1)]
      case 'joined':
        return [note(`${step.chain}: the other case is the same here`, step.depth + 1)]
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
            outcome: `${effectText(step.effect)}${step.conditions.some(({ open }) => open === true) ? ', if it matches' : ''}`,
            // kube-proxy's own advice to editors comes after a semicolon.
            comment: step.rule.comment.split(';', 1)[0] ?? '',
          },
        ]
    }
  })
}

/** `PREROUTING nat`, and the name of the base chain, where it has one of its own. */
const askedText = ({ hook: at, table, chain }: Extract<Step, { readonly type: 'table' | 'unasked' }>): string =>
  [at, table, ...(chain === undefined ? [] : [chain])].join(' ')

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

/** Those in a row that ask for the same kind of thing and fail by the same fact are shown once, with their number. */
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

/** Whether it is worth telling that a rule did not match. `rewritten`: the packet has been sent to another place by then. */
type IsTelling = (missed: MissedRule, at: { readonly rewritten: boolean }) => boolean

/**
 * Of rules that did not match, those that people ask about: they are for the packet's own destination, for a Service that
 * other rules on its way are for, or they would have matched but for something that had to be assumed. A packet that has
 * been sent to an endpoint has no more to do with the addresses of Services.
 */
function tellingRules(ways: readonly Way[]): IsTelling {
  const services = new Set<string>()
  for (const { steps } of ways) {
    for (const step of steps) {
      const service = step.type === 'rule' ? step.rule.service?.name : undefined
      if (service !== undefined) services.add(service)
    }
  }
  return ({ rule, conditions }, { rewritten }) => {
    if (!rewritten && services.has(rule.service?.name ?? '')) return true
    const failed = conditions.filter(({ holds }) => !holds)
    if (failed.every(({ assumed, supposed }) => assumed || supposed === true)) return true
    return isForItsDestination({ conditions })
  }
}

/** Whether the rule asks for the one address that the packet is sent to. */
export const isForItsDestination = ({ conditions }: Pick<MissedRule, 'conditions'>): boolean =>
  conditions.some(({ field, value, holds }) => holds && field === 'destination' && value !== undefined)

/** The facts by which conditions fail, each once. */
const whyNot = (conditions: readonly Condition[]): string =>
  [...new Set(conditions.filter(({ holds }) => !holds).map(({ because }) => because))].join(', ')

function effectText(effect: Effect): string {
  switch (effect.type) {
    case 'jump':
      return effect.rules === 0 ? `-> ${effect.chain}, which is empty` : `-> ${effect.chain}`
    case 'goto':
      return `=> ${effect.chain}`
    case 'return':
      return 'return'
    case 'accept':
      return 'accepted'
    case 'drop':
      return 'dropped'
    case 'reject':
      return `rejected with ${effect.with}`
    case 'mark':
      return `mark 0x${effect.from.toString(16)} becomes 0x${effect.to.toString(16)}`
    case 'dnat':
      return `sent to ${endpointKey(effect)}`
    case 'snat':
      return `source becomes ${effect.address ?? "the node's"}`
    case 'untracked':
      return 'not tracked by conntrack'
    case 'hand-over':
      return `${HANDED[effect.outcome]} ${effect.what}`
    case 'continue':
      return effect.what === 'no target' ? 'nothing' : effect.what
  }
}

const HANDED = {
  accept: 'let go on by',
  drop: 'not let go on by',
  continue: 'let go on by',
  end: 'up to',
} as const

/** `1/3` for what is one in three but for the kernel's rounding, else `66.7%`; `always` for what is certain. */
export function oddsText(odds: Odds): string {
  const number = oddsToNumber(odds)
  if (number === 1) return 'always'
  const whole = Math.round(1 / number)
  return Math.abs(number * whole - 1) < ROUNDING ? `1/${whole}` : `${(number * 100).toFixed(1)}%`
}

/** The kernel's dice have 2^31 sides: of a thousand endpoints, each has its share to five digits. */
const ROUNDING = 1e-5
