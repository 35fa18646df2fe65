import { CERTAIN, type Odds, type Step } from '@pointsman/core'
import type { PacketState } from './traced-packet.js'

/** A packet on its way: what it is by now, with what odds it came here, and by which steps. */
export interface PartialWay {
  readonly packet: PacketState
  readonly odds: Odds
  /** The newest. Ways that part have their beginnings in common. */
  readonly last: StepLink | undefined
}

export interface StepLink {
  readonly step: Step
  readonly before: StepLink | undefined
  /** How many there are with it. */
  readonly count: number
}

export const wayOf = (packet: PacketState): PartialWay => ({ packet, odds: CERTAIN, last: undefined })

export const withStep = (way: PartialWay, step: Step): PartialWay => ({
  ...way,
  last: { step, before: way.last, count: (way.last?.count ?? 0) + 1 },
})

export function stepsOf({ last }: PartialWay): readonly Step[] {
  const steps: Step[] = []
  for (let link = last; link !== undefined; link = link.before) steps.push(link.step)
  return steps.reverse()
}
