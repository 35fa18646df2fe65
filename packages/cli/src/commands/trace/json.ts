import { type Condition, type Effect, type End, type Odds, oddsToNumber, type Step, type Way } from '@pointsman/core'
import { pointOf, takenOver } from '../../output/json.js'
import type { AskedTrace } from './answer.js'
import type { ConditionJson, EffectJson, StepJson, TraceJson, WayJson } from './schema.js'
import type { Summarised } from './text.js'

/** A Trace as `docs/json.md` has it. */
export function traceDocument(
  { packet, trace, assumptions, names, alsoLookAt }: Summarised,
  { asked, node, question }: AskedTrace,
): TraceJson {
  const { inInterface, state } = question.packet
  const services = names.services({ ...packet, address: packet.destination, port: packet.destinationPort })
  return {
    kind: 'Trace',
    at: asked && pointOf(asked),
    node: node?.name,
    packet: { ...packet, inInterface, state: state ?? 'NEW' },
    services: services.length === 0 ? undefined : services,
    fate: trace.fate,
    fates: trace.fates.map(({ fate, odds }) => ({ fate, odds: oddsToNumber(odds) })),
    endpoints: trace.endpoints.map(({ address, port, odds, source }): TraceJson['endpoints'][number] => ({
      address,
      port,
      odds: oddsToNumber(odds),
      ...names.host(address),
      source: { rewritten: source.rewritten, address: source.address },
    })),
    assumptions,
    ways: trace.ways.map(wayItem),
    alsoLookAt: alsoLookAt.length === 0 ? undefined : alsoLookAt,
  }
}

const wayItem = ({ odds, end, steps }: Way): WayJson => ({
  odds: oddsToNumber(odds),
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
  }
}

function stepItem(step: Step): StepJson {
  switch (step.type) {
    case 'table':
    case 'unasked':
    case 'policy':
    case 'routing':
    case 'again':
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

const conditionItem = ({ text, holds, because, assumed }: Condition): ConditionJson => ({
  text,
  holds,
  because,
  assumed,
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
