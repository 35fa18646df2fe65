import type { ServiceName } from '../model/names.js'
import { gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import { changedEndpoints, type EndpointsChange } from './endpoints-map.js'
import type { EndpointsMap } from './state.js'

/**
 * Gathers the changes of EndpointSlices by Service: previous and current are the endpoints of all slices of a Service
 * together, or one slice's change would wipe out the others'. A slice whose label moves leaves its old Service.
 */
export interface EndpointChangeTracker {
  /** Takes note of what a slice is now. Slices are told apart by namespace and name. */
  update(slice: { readonly namespace: string; readonly name: string }, current: SliceEndpoints | undefined): void
  /** Hands over what is pending and forgets it. A Service whose endpoints are again what they were is not in it. */
  take(): readonly EndpointsChange[]
}

export function createEndpointChangeTracker(): EndpointChangeTracker {
  /** The slices of each Service after all events, pending ones included. */
  const slicesOf = new Map<ServiceName, readonly SliceEndpoints[]>()
  const ownerOf = new Map<string, ServiceName>()
  /** The endpoints of each Service with pending events, before them. */
  const pending = new Map<ServiceName, EndpointsMap>()

  const replace = (service: ServiceName, sliceName: string, current: SliceEndpoints | undefined): void => {
    const slices = slicesOf.get(service) ?? []
    if (!pending.has(service)) pending.set(service, gatherEndpoints(slices))
    const others = slices.filter(({ slice }) => slice !== sliceName)
    const next = current === undefined ? others : [...others, current]
    if (next.length > 0) slicesOf.set(service, next)
    else slicesOf.delete(service)
  }

  return {
    update({ namespace, name }, current) {
      const key = `${namespace}/${name}`
      const owner = ownerOf.get(key)
      if (owner !== undefined && owner !== current?.service) replace(owner, name, undefined)
      if (current === undefined) ownerOf.delete(key)
      else {
        ownerOf.set(key, current.service)
        replace(current.service, name, current)
      }
    },
    take() {
      const changes: EndpointsChange[] = []
      for (const [service, previous] of pending) {
        const change = { previous, current: gatherEndpoints(slicesOf.get(service) ?? []) }
        if (changedEndpoints(change).length > 0) changes.push(change)
      }
      pending.clear()
      return changes
    },
  }
}
