import { bothOdds, CERTAIN, type MissedRule, type Odds, type PassedRules, type Step } from '@pointsman/core'
import { type PartialWay, withStep } from './traced-packet.js'

/** The way with the run as a step of it. */
export const flushed = (way: PartialWay, run: PassedRun | undefined, place: RunPlace): PartialWay =>
  run === undefined ? way : withStep(way, passedStep(run, place))

type RunPlace = Pick<PassedRules, 'table' | 'chain' | 'depth'>

/** Rules in a row that did not match, while they are being passed. */
export interface PassedRun {
  readonly first: number
  readonly last: number
  readonly missed: MissedList | undefined
  readonly odds: Odds
}

interface MissedList {
  readonly rule: MissedRule
  readonly before: MissedList | undefined
}

/** The run with one rule more: what is kept of it, and the odds of passing it, where chance decided. */
export function passing(
  run: PassedRun | undefined,
  { number, missed, odds }: { readonly number: number; readonly missed?: MissedRule; readonly odds?: Odds },
): PassedRun {
  const kept = run?.missed
  return {
    first: run?.first ?? number,
    last: number,
    missed: missed === undefined ? kept : { rule: missed, before: kept },
    odds: odds === undefined ? (run?.odds ?? CERTAIN) : bothOdds(run?.odds ?? CERTAIN, odds),
  }
}

function passedStep({ first, last, missed, odds }: PassedRun, { table, chain, depth }: RunPlace): Step {
  const rules: MissedRule[] = []
  for (let link = missed; link !== undefined; link = link.before) rules.push(link.rule)
  return { type: 'passed', table, chain, depth, first, last, missed: rules.reverse(), odds }
}
