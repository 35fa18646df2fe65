import type { State } from '../state/state.js'

/** A state as text: equal states give equal texts, in whatever order they came to be. For tests and digests. */
export function canonicalState(state: State): string {
  const sorted = <Value>(map: ReadonlyMap<string, Value>): Record<string, Value> =>
    Object.fromEntries([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  const { node, nodes, services, endpoints, serviceCidrs } = state
  return JSON.stringify(
    { node: node?.name, nodes: sorted(nodes), services: sorted(services), endpoints: sorted(endpoints), serviceCidrs },
    sortKeys,
    1,
  )
}

function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
