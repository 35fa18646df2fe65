import { type Condition, type Effect, type End, type Odds, oddsToNumber, type Step, type Way } from '@pointsman/core'
import { type Document, pointOf } from '../output/json.js'
import type { Summarised } from './trace-summary.js'
import type { AskedTrace } from './trace-question.js'

/** A Trace as `docs/json.md` has it. */
export function traceDocument(
  { packet, trace, assumptions, names }: Summarised,
  { asked, node, question }: AskedTrace,
): Document {
  const { inInterface, state } = question.packet
  return {
    kind: 'Trace',
    ...(asked && pointOf(asked)),
    ...(node && { node: node.name }),
    packet: { ...packet, ...(inInterface !== undefined && { inInterface }), state: state ?? 'NEW' },
    ...services(names.services({ ...packet, address: packet.destination, port: packet.destinationPort })),
    fate: trace.fate,
    fates: trace.fates.map(({ fate, odds }) => ({ fate, odds: oddsToNumber(odds) })),
    endpoints: trace.endpoints.map(({ address, port, odds, source }) => ({
      address,
      port,
      odds: oddsToNumber(odds),
      ...names.host(address),
      source: { rewritten: source.rewritten, ...(source.address !== undefined && { address: source.address }) },
    })),
    assumptions,
    ways: trace.ways.map(wayItem),
  }
}

const services = (found: readonly string[]): object => (found.length === 0 ? {} : { services: found })

const wayItem = ({ odds, end, steps }: Way): object => ({
  odds: oddsToNumber(odds),
  ...endItem(end),
  steps: steps.map(stepItem),
})

function endItem(end: End): object {
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

function stepItem(step: Step): object {
  switch (step.type) {
    case 'table':
    case 'unasked':
    case 'policy':
    case 'routing':
    case 'again':
      return step
    case 'conntrack':
      return { type: step.type, effect: effectItem(step.effect) }
    case 'passed': {
      const { missed, odds, ...place } = step
      const rules = missed.map(({ number, rule, conditions }) => ({
        number,
        rule: rule.line,
        conditions: conditions.map(conditionItem),
      }))
      return { ...place, ...oddsItem(odds), missed: rules }
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
        ...oddsItem(odds),
        effect: effectItem(effect),
      }
    }
  }
}

const conditionItem = ({ text, holds, because, assumed }: Condition): object => ({ text, holds, because, assumed })

/** Absent where no chance is in it. */
const oddsItem = (odds: Odds): object => {
  const number = oddsToNumber(odds)
  return number === 1 ? {} : { odds: number }
}

function effectItem(effect: Effect): object {
  if (effect.type !== 'snat' || effect.address !== undefined) return effect
  return { type: effect.type, by: effect.by }
}
