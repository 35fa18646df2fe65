import type { ConfigRecord, Endpoint, EndpointSelection, ObjectRecord, ServicePort } from '@pointsman/core'
import type { OwnedRule } from '../render/owned-rules.js'

/** What changed rules. */
export type Cause =
  | {
      readonly type: 'object'
      readonly record: ObjectRecord
      /** The record of the object's version before; absent where there was none, or where the log does not hold it. */
      readonly previous?: ObjectRecord
    }
  | { readonly type: 'config'; readonly record: ConfigRecord }
  /** No record: they were there where the log begins. */
  | { readonly type: 'start' }

/** A service port between two records: what its rules are made from. */
export interface PortMoment {
  readonly port: ServicePort
  /** All that it has, whatever their conditions. */
  readonly endpoints: readonly Endpoint[]
  /** Those of them that the node sends traffic to. */
  readonly selection: EndpointSelection
}

/** One moment at which rules changed, told once for all of them that one service port has. */
export interface RuleChange {
  readonly cause: Cause
  /** The rules' service port before and after; absent where it was not there, and for rules of no service. */
  readonly before?: PortMoment
  readonly after?: PortMoment
}

/** A rule with where it comes from. */
export interface BlamedRule extends OwnedRule {
  /** Since when it says what it says, odds aside. */
  readonly made: RuleChange
  /** What last changed its text: the same, or, where other endpoints came or went since, what changed its odds. */
  readonly changed: RuleChange
}

/** A rule that is no longer there. */
export interface GoneRule extends BlamedRule {
  readonly removed: RuleChange
}

/** Whether the last change of its text was of its odds alone: a neighbour's doing. */
export const isOddsAlone = ({ made, changed }: Pick<BlamedRule, 'made' | 'changed'>): boolean => made !== changed

/** The endpoints that the node sends some traffic to, each once. */
export const usedEndpoints = (moment: PortMoment | undefined): readonly Endpoint[] =>
  moment === undefined ? [] : [...new Set([...moment.selection.cluster, ...moment.selection.local])]
