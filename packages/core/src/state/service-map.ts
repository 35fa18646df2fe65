import type { ServicePortName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'

/** What one Service was before all pending events, and what it is after them. */
export interface ServiceChange {
  readonly previous: readonly ServicePort[]
  readonly current: readonly ServicePort[]
}

/** Puts the ports of a Service into the map, over those that are there. */
export function mergeServicePorts(map: Map<ServicePortName, ServicePort>, current: readonly ServicePort[]): void {
  for (const port of current) map.set(port.id, port)
}

/** The previous ports that the Service has no longer: what is left to unmerge, so that an update is not a delete. */
export function filterServicePorts({ previous, current }: ServiceChange): readonly ServicePort[] {
  return previous.filter((port) => !current.some(({ id }) => id === port.id))
}

/** Takes ports that are gone out of the map. */
export function unmergeServicePorts(map: Map<ServicePortName, ServicePort>, gone: readonly ServicePort[]): void {
  for (const port of gone) map.delete(port.id)
}
