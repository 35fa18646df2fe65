import {
  type ChainDifference,
  type Dataplane,
  diffEndpoints,
  diffObjects,
  diffRules,
  type ObjectDifference,
  type ObjectRecord,
  type PlanOptions,
  type PortDifference,
  selectEndpoints,
} from '@pointsman/core'
import type { DiffQuestion, DiffSide } from './diff-question.js'
import { lastChanges } from './last-changes.js'

/** All that differs between two points: what people changed, what that did to endpoints, and to rules. */
export interface Differences {
  readonly from: DiffSide
  readonly to: DiffSide
  readonly objects: readonly ObjectDifference[]
  /** The last record between the points of each object; absent for all where there are very many. */
  readonly lastChanges: ReadonlyMap<ObjectDifference, ObjectRecord>
  readonly ports: readonly PortDifference[]
  readonly chains: readonly ChainDifference[]
}

export function findDifferences(
  { reader, from, to }: DiffQuestion,
  dataplane: Dataplane,
  options: Omit<PlanOptions, 'keepComments'>,
): Differences {
  const objects = diffObjects(from.objects, to.objects)
  const { family } = options
  return {
    from,
    to,
    objects,
    lastChanges: lastChanges(reader, objects, { after: from.point.seq, upTo: to.point.seq }),
    ports: diffEndpoints(from.state, to.state).filter(({ port }) => port.family === family),
    chains: diffRules(dataplane, { before: from, after: to }, options),
  }
}

export const isSame = ({ objects, ports, chains }: Differences): boolean =>
  objects.length === 0 && ports.length === 0 && chains.length === 0

/** Endpoints that the node used of a service port, at one of the points. */
export function usedCount({ state }: DiffSide, difference: PortDifference, when: 'before' | 'after'): number {
  const port = state.services.get(difference.port.id)
  if (port === undefined) return 0
  const { cluster, local } = selectEndpoints({ port, endpoints: difference[when], node: state.node })
  return new Set([...cluster, ...local]).size
}

/** How many rules came, went, and have other odds. */
export function ruleCounts(chains: readonly ChainDifference[]): {
  readonly added: number
  readonly removed: number
  readonly odds: number
} {
  const rules = chains.flatMap((chain) => chain.rules)
  const count = (type: 'added' | 'removed' | 'odds'): number => rules.filter((rule) => rule.type === type).length
  return { added: count('added'), removed: count('removed'), odds: count('odds') }
}
