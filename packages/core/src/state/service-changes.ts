import { isEqual } from '../model/is-equal.js'
import type { ServiceName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import type { ServiceChange } from './service-map.js'

/** Gathers the changes of Services between two applications of them: one pending change a Service. */
export interface ServiceChangeTracker {
  /** Takes note of what a Service is now; no ports: it is deleted, or skipped. */
  update(service: ServiceName, current: readonly ServicePort[]): void
  /** Hands over what is pending and forgets it. A Service that is again what it was is not in it. */
  take(): readonly ServiceChange[]
}

export function createServiceChangeTracker(): ServiceChangeTracker {
  /** The ports of each Service after all events, pending ones included. */
  const latest = new Map<ServiceName, readonly ServicePort[]>()
  /** The ports of each Service with pending events, before them. */
  const pending = new Map<ServiceName, readonly ServicePort[]>()

  return {
    update(service, current) {
      const before = latest.get(service) ?? []
      if (!pending.has(service)) pending.set(service, before)
      if (current.length > 0) latest.set(service, current)
      else latest.delete(service)
    },
    take() {
      const changes: ServiceChange[] = []
      for (const [service, previous] of pending) {
        const current = latest.get(service) ?? []
        if (!isEqual(previous, current)) changes.push({ previous, current })
        // What did not change keeps its identity, so that one object stands for it everywhere.
        else if (previous.length > 0) latest.set(service, previous)
      }
      pending.clear()
      return changes
    },
  }
}
