import { isEqual } from '../model/json-value.js'
import type { Diagnostic } from '../model/diagnostic.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { serviceName, type ServiceName, type ServicePortName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { servicePortsOf } from '../model/service-ports.js'

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
export interface ObjectReader {
  /** What reading an object gives; undefined where it failed and somebody takes the failure. */
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
