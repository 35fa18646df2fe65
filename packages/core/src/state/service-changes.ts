import type { Diagnostic } from '../model/diagnostic.js'
import type { Endpoint } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { serviceName, type ServiceName, type ServicePortName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { servicePortsOf } from '../model/service-ports.js'
import { endpointsOfSlice, gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import type { EndpointsMap } from './state.js'

/**
 * Gathers the changes of Services between two applications of them: one pending change a Service. Only its last version
 * is read, when it is taken: what came between costs next to nothing.
 */
interface ServiceChangeTracker {
  /** Takes note of what a Service is now. */
  update(service: KubernetesObject, deleted: boolean): void
  /** Hands over what is pending and forgets it. A Service that is again what it was is not in it. */
  take(): readonly ServiceChange[]
}

/** Reads the objects of one application of changes. */
interface ObjectReader {
  /** What reading an object gives; undefined where it failed and a caller handles the failure. */
  read<Result extends { readonly diagnostics: readonly Diagnostic[] }>(
    object: KubernetesObject,
    read: (object: KubernetesObject) => Result,
  ): Result | undefined
  /** An object that is gone. */
  forget(kind: ObjectKind, name: string): void
  /** Hands over what was found since the last time: see `Applied.diagnostics`. */
  take(): ReadonlyMap<string, readonly Diagnostic[]>
}

export interface ReaderOptions {
  /**
   * Takes an object that reading failed on, which is a bug: the object's last version counts on, and so does everything else.
   * Absent: the failure is thrown.
   */
  readonly onUnusable?: ((object: KubernetesObject, error: unknown) => void) | undefined
}

export function createObjectReader({ onUnusable }: ReaderOptions): ObjectReader {
  /** Objects whose last reading found something. */
  const faulty = new Set<string>()
  let found = new Map<string, readonly Diagnostic[]>()

  const note = (key: string, diagnostics: readonly Diagnostic[]): void => {
    if (diagnostics.length > 0) faulty.add(key)
    else if (!faulty.delete(key)) return
    found.set(key, diagnostics)
  }

  return {
    read(object, read) {
      try {
        const result = read(object)
        if (result.diagnostics.length > 0 || faulty.size > 0) note(keyOf(object), result.diagnostics)
        return result
      } catch (error) {
        if (onUnusable === undefined) throw error
        onUnusable(object, error)
        return undefined
      }
    },
    forget(kind, name) {
      if (faulty.size > 0) note(`${kind} ${name}`, [])
    },
    take() {
      const taken = found
      found = new Map()
      return taken
    },
  }
}

const keyOf = ({ kind, metadata: { namespace = '', name } }: KubernetesObject): string => `${kind} ${namespace}/${name}`

export function createServiceChangeTracker(reader: ObjectReader): ServiceChangeTracker {
  /** The ports of each Service, as of the last `take`; of none where it has none. */
  const applied = new Map<ServiceName, readonly ServicePort[]>()
  /** Services with pending events, as of the last of these; undefined: deleted. */
  const pending = new Map<ServiceName, KubernetesObject | undefined>()

  return {
    update(service, deleted) {
      const { namespace = '', name } = service.metadata
      pending.set(serviceName(namespace, name), deleted ? undefined : service)
    },
    take() {
      const changes: ServiceChange[] = []
      for (const [name, service] of pending) {
        const previous = applied.get(name) ?? []
        if (service === undefined) reader.forget('Service', name)
        const current = service === undefined ? [] : reader.read(service, servicePortsOf)?.ports
        if (current === undefined) continue
        if (isEqual(previous, current)) continue
        if (current.length > 0) applied.set(name, current)
        else applied.delete(name)
        changes.push({ previous, current })
      }
      pending.clear()
      return changes
    },
  }
}

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

/**
 * Gathers the changes of EndpointSlices by Service: previous and current are the endpoints of all slices of a Service
 * together, or one slice's change would wipe out the others'. A slice whose label moves leaves its old Service. Only the
 * last version of a slice is read, when it is taken.
 */
interface EndpointChangeTracker {
  /** Takes note of what a slice is now. Slices are identified by namespace and name. */
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
