import type { Endpoint } from '../model/endpoint.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServicePortName } from '../model/names.js'
import type { ObjectRecord } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import { gatherEndpoints } from '../model/gather-endpoints.js'
import type { SliceEndpoints } from '../model/slice-endpoints.js'
import type { ServiceEdit } from './outage.js'

/** A Service with its slices, as far as they have been seen. */
export interface WatchedService {
  /** The last version, also after its deletion; absent while only slices were seen. */
  readonly object: KubernetesObject | undefined
  readonly ports: readonly ServicePort[]
  readonly slices: ReadonlyMap<string, { readonly record: ObjectRecord; readonly gathered: SliceEndpoints }>
  /** Of each of its ports; an empty list where there is none. */
  readonly usable: ReadonlyMap<ServicePortName, readonly Endpoint[]>
  readonly edits: readonly ServiceEdit[]
}

/** A port that had usable endpoints and has none. */
export interface LostPort {
  readonly port: ServicePort
  /** Usable endpoints before. */
  readonly before: readonly Endpoint[]
  /** What is still listed of the port, unusable. */
  readonly after: readonly Endpoint[]
}

/** Endpoints that cluster-wide traffic may go to: the ready ones, else those that terminate and still serve. */
export function usableEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready)
  return ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.serving && endpoint.terminating)
}

export function usableByPort(service: Pick<WatchedService, 'ports' | 'slices'>): WatchedService['usable'] {
  const listed = listedByPort(service)
  return new Map(service.ports.map((port) => [port.id, usableEndpoints(listed.get(port.id) ?? [])]))
}

export function lostPorts(before: WatchedService, after: WatchedService): readonly LostPort[] {
  const lost = after.ports.filter(
    (port) => (before.usable.get(port.id)?.length ?? 0) > 0 && after.usable.get(port.id)?.length === 0,
  )
  if (lost.length === 0) return []
  const listed = listedByPort(after)
  return lost.map((port) => ({ port, before: before.usable.get(port.id) ?? [], after: listed.get(port.id) ?? [] }))
}

const listedByPort = ({ slices }: Pick<WatchedService, 'slices'>): ReadonlyMap<ServicePortName, readonly Endpoint[]> =>
  gatherEndpoints([...slices.values()].map(({ gathered }) => gathered))
