import {
  oddsToNumber,
  type Condition,
  type Effect,
  type End,
  type FateOdds,
  type Odds,
  type Step,
  type TracedEndpoint,
  type Way,
} from '@pointsman/core'
import { pointOf, takenOver } from '../../output/json.js'
import type { PacketNames } from '../../packet/names.js'
import { certaintyOf, dependencesOf, type AskedTrace } from './answer.js'
import type { ConditionJson, EffectJson, StepJson, TraceJson, WayJson } from './schema.js'
import { caseText, type Summarised } from './text.js'

/** A Trace as `docs/json.md` has it. */
export function traceDocument(summarised: Summarised, { asked, node, question }: AskedTrace): TraceJson {
  const { packet, trace, assumptions, names, alsoLookAt } = summarised
  const { inInterface, state } = question.packet
  const services = names.services({ ...packet, address: packet.destination, port: packet.destinationPort })
  return {
    kind: 'Trace',
    at: asked && pointOf(asked),
    node: node?.name,
    packet: { ...packet, inInterface, state: state ?? 'NEW' },
    services: services.length === 0 ? undefined : services,
    certainty: certaintyOf(trace, assumptions),
    fate: trace.fate,
    fates: trace.fates.map(fateItem),
    endpoints: trace.endpoints.map((endpoint) => endpointItem(endpoint, names)),
    assumptions,
    dependsOn: dependencesOf(trace),
    cases: trace.cases?.map((one) => ({
      when: one.when,
      fate: one.fates[0]?.fate ?? 'depends',
      fates: one.fates.map(fateItem),
      endpoints: one.endpoints.map((endpoint) => endpointItem(endpoint, names)),
      reason: caseText(one, summarised),
    })),
    ways: trace.ways.map(wayItem),
    alsoLookAt: alsoLookAt.length === 0 ? undefined : alsoLookAt,
  }
}

/** A Trace as a part of another one. */
export function withoutHead({
  kind: _kind,
  at: _at,
  node: _node,
  otherFamily: _other,
  ...fields
}: TraceJson): NonNullable<TraceJson['otherFamily']> {
  return fields
}

const fateItem = ({ fate, odds, atLeast }: FateOdds): TraceJson['fates'][number] => ({
  fate,
  odds: oddsToNumber(odds),
  atLeast: atLeast && oddsToNumber(atLeast),
})

const endpointItem = (
  { address, port, odds, atLeast, source }: TracedEndpoint,
  names: PacketNames,
): TraceJson['endpoints'][number] => ({
  address,
  port,
  odds: oddsToNumber(odds),
  atLeast: atLeast && oddsToNumber(atLeast),
  ...names.host(address),
  source: { rewritten: source.rewritten, address: source.address },
})

const wayItem = ({ odds, when, end, steps }: Way): WayJson => ({
  odds: oddsToNumber(odds),
  when,
  ...endItem(end),
  steps: steps.map(stepItem),
})

function endItem(end: End): Omit<WayJson, 'odds' | 'steps'> {
  switch (end.fate) {
    case 'endpoints':
    case 'no-service':
      return { fate: end.fate, address: end.address, port: end.port }
    case 'rejected':
      return { fate: end.fate, rejectedWith: end.with, by: end.by }
    case 'dropped':
      return { fate: end.fate, by: end.by }
    case 'depends':
      return { fate: end.fate, on: end.on, address: end.address, port: end.port, by: end.by }
  }
}

function stepItem(step: Step): StepJson {
  switch (step.type) {
    case 'unasked':
      return {
        type: step.type,
        hook: step.hook,
        table: step.table,
        chain: step.chain,
        because: step.because,
        reason: step.rules,
      }
    case 'table':
    case 'policy':
    case 'routing':
    case 'again':
    case 'joined':
      return takenOver<StepJson>()(step)
    case 'conntrack':
      return { type: step.type, effect: effectItem(step.effect) }
    case 'passed': {
      const { missed, odds, ...place } = step
      const rules = missed.map(({ number, rule, conditions }) => ({
        number,
        rule: rule.line,
        conditions: conditions.map(conditionItem),
      }))
      return { ...takenOver<StepJson>()(place), odds: chanceOf(odds), missed: rules }
    }
    case 'rule': {
      const { type, table, chain, depth, number, rule, conditions, odds, effect } = step
      return {
        type,
        table,
        chain,
        depth,
        number,
        conditions: conditions.map(conditionItem),
        rule: rule.line,
        odds: chanceOf(odds),
        effect: effectItem(effect),
      }
    }
  }
}

const conditionItem = ({ text, holds, because, assumed, supposed, open }: Condition): ConditionJson => ({
  text,
  holds,
  because,
  assumed,
  supposed,
  open,
})

/** Undefined where no chance is in it. */
const chanceOf = (odds: Odds): number | undefined => {
  const number = oddsToNumber(odds)
  return number === 1 ? undefined : number
}

function effectItem(effect: Effect): EffectJson {
  if (effect.type !== 'snat' || effect.address !== undefined) return takenOver<EffectJson>()(effect)
  return { type: effect.type, by: effect.by }
}
