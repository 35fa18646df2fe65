import { CERTAIN, isCertain, otherOdds } from '@pointsman/core'
import { type Applied, evaluateInCases, type InCases, type Meeting, type Met } from '@pointsman/core/trace'
import { applyTarget, type TargetPlace } from './apply-target.js'
import { judgeRule, type Judgement } from './judge-rule.js'
import { commentOf, type OwnedRule, type RuleTables } from './rule-tables.js'

/** What becomes of a packet that meets a rule: it matches in some cases and not in others, and chance can be a part of it. */
export function meetRule(tables: RuleTables, owned: OwnedRule, meeting: Meeting): readonly Met[] {
  const { judgement, cases } = judgeInCases(owned, meeting)
  const isOpen = judgement !== undefined || cases.some(({ value }) => value.assumptions.length > 0)
  const isIdle = isOpen && decidesNothing(tables, owned, meeting)
  if (judgement !== undefined && isIdle && (cases.length > 1 || cases[0]?.value.matches === true))
    return matched(tables, owned, { meeting, judgement: { ...judgement, assumptions: [] }, when: meeting.way.when })
  return cases.flatMap(({ value, when }): readonly Met[] => {
    const told = isIdle ? { ...value, assumptions: [] } : value
    if (value.matches) return matched(tables, owned, { meeting, judgement: told, when })
    const { conditions, passed, assumptions } = told
    return [{ when, packet: passed, effect: undefined, conditions, isParted: false, assumptions }]
  })
}

interface JudgedRule {
  /** Where it is unknown whether the rule matches: what is known of it. */
  readonly judgement: Judgement | undefined
  readonly cases: readonly InCases<Judgement>[]
}

function judgeInCases({ rule }: OwnedRule, { context, way }: Meeting): JudgedRule {
  const { surroundings, effort } = context
  const { packet, when } = way
  effort.judged(rule.matches.length, packet)
  const first = judgeRule(rule, { packet, surroundings, supposed: undefined })
  if (first.unknown === undefined) return { judgement: undefined, cases: [{ value: first, when }] }
  const cases = evaluateInCases<Judgement>(
    when,
    (supposed) => {
      const value = judgeRule(rule, { packet, surroundings, supposed })
      return value.unknown === undefined ? { value } : { unknown: value.unknown }
    },
    {
      keyOf: ({ matches, changes, packet: hit, passed }) => `${matches}${changes ? JSON.stringify([hit, passed]) : ''}`,
      spend: (asked) => effort.judgedInCases(rule.matches.length, asked),
    },
  )
  return { judgement: first, cases }
}

/** Whether a rule leaves the packet as it is and lets it go on, as LOG does: then it does not matter if it matches. */
function decidesNothing(tables: RuleTables, owned: OwnedRule, meeting: Meeting): boolean {
  const { target, matches } = owned.rule
  if (matches.some(({ type }) => type === 'recent')) return false
  const { packet } = meeting.way
  const applied = applyTarget(target, targetPlace(tables, owned, meeting))
  return 'value' in applied && applied.value.effect.type === 'continue' && applied.value.packet === packet
}

const targetPlace = (
  tables: RuleTables,
  owned: OwnedRule,
  { context, place: { table, chain, hook }, number, way }: Meeting,
): TargetPlace => ({
  packet: way.packet,
  surroundings: context.surroundings,
  supposed: undefined,
  hook,
  where: `rule ${number} of ${table} ${chain}`,
  comment: commentOf(owned.rule),
  rulesIn: (name) => tables.chain(table, name)?.rules.length,
})

interface Matched {
  readonly meeting: Meeting
  readonly judgement: Judgement
  readonly when: Met['when']
}

/** What the target does, in cases; and where chance is a part of it, that the rule is passed. */
function matched(tables: RuleTables, owned: OwnedRule, { meeting, judgement, when }: Matched): readonly Met[] {
  const { odds, conditions, passed, packet: hit } = judgement
  const place = targetPlace(tables, owned, { ...meeting, way: { ...meeting.way, packet: hit } })
  const { effort } = meeting.context
  const applied = evaluateInCases<Applied>(when, (supposed) => applyTarget(owned.rule.target, { ...place, supposed }), {
    keyOf: ({ effect, packet, assumptions }) => JSON.stringify([effect, packet, assumptions]),
    spend: (asked) => effort.judgedInCases(owned.rule.matches.length, asked),
  })
  const chance = isCertain(odds) ? CERTAIN : odds
  const mets = applied.map(({ value, when: then }): Met => {
    const { effect, packet } = value
    const isParted = !isCertain(odds) && !(effect.type === 'continue' && packet === passed)
    const assumptions = [...judgement.assumptions, ...value.assumptions]
    return { when: then, packet, effect, conditions, chance, isParted, assumptions }
  })
  if (mets[0]?.isParted !== true) return mets
  return [
    ...mets,
    { when, packet: passed, effect: undefined, chance: otherOdds(odds), isParted: true, assumptions: [] },
  ]
}
