import type { Endpoint } from '../model/endpoint.js'
import { isEqual } from '../model/is-equal.js'
import type { ServicePortName } from '../model/names.js'
import type { EndpointsMap } from './state.js'

/** The endpoints of one Service, all its slices together, before all pending events and after them. */
export interface EndpointsChange {
  readonly previous: EndpointsMap
  readonly current: EndpointsMap
}

export function unmergeEndpoints(map: Map<ServicePortName, readonly Endpoint[]>, previous: EndpointsMap): void {
  for (const id of previous.keys()) map.delete(id)
}

export function mergeEndpoints(map: Map<ServicePortName, readonly Endpoint[]>, current: EndpointsMap): void {
  for (const [id, endpoints] of current) map.set(id, endpoints)
}

/** The service ports whose endpoints differ. */
export function changedEndpoints({ previous, current }: EndpointsChange): ServicePortName[] {
  const changed = [...previous.keys()].filter((id) => !isEqual(previous.get(id), current.get(id)))
  for (const id of current.keys()) if (!previous.has(id)) changed.push(id)
  return changed
}
