import type { Endpoint } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServiceName, ServicePortName } from '../model/names.js'
import { endpointsOfSlice, gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import type { ObjectReader } from './service-changes.js'
import type { EndpointsMap } from './state.js'

/**
 * Gathers the changes of EndpointSlices by Service: previous and current are the endpoints of all slices of a Service
 * together, or one slice's change would wipe out the others'. A slice whose label moves leaves its old Service. Only the
 * last version of a slice is read, when it is taken.
 */
interface EndpointChangeTracker {
  /** Takes note of what a slice is now. Slices are told apart by namespace and name. */
  update(slice: KubernetesObject, deleted: boolean): void
  /** Hands over what is pending and forgets it. A Service whose endpoints are again what they were is not in it. */
  take(): readonly EndpointsChange[]
}

export function createEndpointChangeTracker(reader: ObjectReader): EndpointChangeTracker {
  /** The slices of each Service, and the Service of each slice, as of the last `take`. */
  const slicesOf = new Map<ServiceName, readonly SliceEndpoints[]>()
  const ownerOf = new Map<string, ServiceName>()
  /** Slices with pending events, as of the last of these; undefined: deleted. */
  const pending = new Map<string, KubernetesObject | undefined>()

  const replace = (service: ServiceName, sliceName: string, current: SliceEndpoints | undefined): void => {
    const others = (slicesOf.get(service) ?? []).filter(({ slice }) => slice !== sliceName)
    const next = current === undefined ? others : [...others, current]
    if (next.length > 0) slicesOf.set(service, next)
    else slicesOf.delete(service)
  }

  return {
    update(slice, deleted) {
      const { namespace = '', name } = slice.metadata
      pending.set(`${namespace}/${name}`, deleted ? undefined : slice)
    },
    take() {
      const before = new Map<ServiceName, EndpointsMap>()
      const touch = (service: ServiceName): void => {
        if (!before.has(service)) before.set(service, gatherEndpoints(slicesOf.get(service) ?? []))
      }
      for (const [key, slice] of pending) {
        if (slice === undefined) reader.forget('EndpointSlice', key)
        const current = slice && reader.read(slice, endpointsOfSlice)
        if (slice !== undefined && current === undefined) continue
        const name = key.slice(key.indexOf('/') + 1)
        const owner = ownerOf.get(key)
        if (owner !== undefined) {
          touch(owner)
          replace(owner, name, undefined)
          ownerOf.delete(key)
        }
        if (current?.service === undefined) continue
        touch(current.service)
        replace(current.service, name, current)
        ownerOf.set(key, current.service)
      }
      pending.clear()
      return [...before]
        .map(([service, previous]) => ({ previous, current: gatherEndpoints(slicesOf.get(service) ?? []) }))
        .filter((change) => changedEndpoints(change).length > 0)
    },
  }
}

/** The endpoints of one Service, all its slices together, before all pending events and after them. */
interface EndpointsChange {
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
