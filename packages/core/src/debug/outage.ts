import { type Endpoint, endpointKey } from '../model/endpoint.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { type ServiceName, serviceOf, type ServicePortName } from '../model/names.js'
import type { ObjectRecord } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import { gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import { endpointsByAddress, fieldsOf } from './describe-change.js'

/** A time in which a Service had no usable endpoint for a port that had some before. */
export interface Outage {
  readonly service: ServiceName
  /** Names of the ports that lost their endpoints, sorted; an empty name for an unnamed port. */
  readonly ports: readonly string[]
  /** The slice's record with which the first of the ports lost its last usable endpoint. */
  readonly emptiedBy: ObjectRecord
  /** Usable endpoints of the port right before. */
  readonly endpointsBefore: number
  readonly cause: OutageCause
  /** The record after which every port had endpoints again, with the edit behind it; absent while it lasts. */
  readonly repair?: { readonly record: ObjectRecord; readonly edit?: ServiceEdit }
  /** The Service was deleted while it had no endpoints: that ended it. */
  readonly deletedBy?: ObjectRecord
  /** From the loss to the repair, or to the last record. */
  readonly durationMs: number
  /** How many outages of this Service the recording holds. */
  readonly occurrences: number
}

export type OutageCause =
  /** The Service's selector or ports were changed, or the Service replaced by another one. */
  | { readonly type: 'service-edit'; readonly edit: ServiceEdit }
  /** Somebody took the endpoints out of a slice that the controller does not keep, or gave the slice to another Service. */
  | { readonly type: 'slice-edit' }
  /** The last usable endpoint went out of the slice or was terminating: scaled down, evicted, deleted. */
  | { readonly type: 'pods-gone' }
  /** The pods are there, and none is ready. */
  | { readonly type: 'not-ready' }
  /** The pods are there and ready, and none has the port. */
  | { readonly type: 'port-gone' }

/** A change of a Service that decides which pods and which of their ports are its endpoints. */
export interface ServiceEdit {
  readonly record: ObjectRecord
  readonly previous: KubernetesObject
  /** `selector app=a -> app=b`. */
  readonly changes: readonly string[]
}

/** Whether it lasted at the end of the recording. */
export const isOpen = (outage: Outage): boolean => outage.repair === undefined && outage.deletedBy === undefined

/** A Service that lost its endpoints this often, and got them back without an edit, flaps. */
const FLAPS = 3
export const isFlap = (outage: Outage): boolean =>
  outage.occurrences >= FLAPS && !isOpen(outage) && outage.cause.type !== 'service-edit'

/**
 * Sorts what a person should hear of first: an edit behind it before none, what flaps last, what is still open before
 * what was repaired, then the longest, the earliest, and the name.
 */
export function compareOutages(a: Outage, b: Outage): number {
  return (
    Number(hasEdit(b)) - Number(hasEdit(a)) ||
    Number(isFlap(a)) - Number(isFlap(b)) ||
    Number(isOpen(b)) - Number(isOpen(a)) ||
    b.durationMs - a.durationMs ||
    a.emptiedBy.seq - b.emptiedBy.seq ||
    (a.service < b.service ? -1 : 1)
  )
}

const hasEdit = ({ cause }: Outage): boolean => cause.type === 'service-edit' || cause.type === 'slice-edit'

interface Loss {
  readonly emptiedBy: ObjectRecord
  readonly lost: readonly LostPort[]
  /** A change of the Service that came between the slice's last version and its emptying. */
  readonly edit: ServiceEdit | undefined
}

/** What took the last usable endpoints away: an edit only where it explains what is seen of the endpoints. */
export function causeOf({ emptiedBy, lost, edit }: Loss): OutageCause {
  const listed = lost.flatMap(stillListed)
  // An edited selector or port takes endpoints out at once. Those that are listed still were taken by their own condition.
  if (edit !== undefined && (listed.length === 0 || edit.changes.some((change) => change.includes(NOT_READY_TOO)))) {
    return { type: 'service-edit', edit }
  }
  if (!isKeptByController(emptiedBy) || hasMoved(emptiedBy, lost)) return { type: 'slice-edit' }
  if (listed.some((endpoint) => !endpoint.terminating)) return { type: 'not-ready' }
  return listed.length === 0 && isPortAlone(emptiedBy, lost) ? { type: 'port-gone' } : { type: 'pods-gone' }
}

const NOT_READY_TOO = 'publishNotReadyAddresses'

function stillListed({ before, after }: LostPort): LostPort['after'] {
  const keys = new Set(before.map(endpointKey))
  return after.filter((endpoint) => keys.has(endpointKey(endpoint)))
}

/** Whether the slice still lists the addresses, and only the port has gone. */
function isPortAlone({ event, object }: ObjectRecord, lost: readonly LostPort[]): boolean {
  if (event === 'DELETED') return false
  const addresses = endpointsByAddress(object)
  return lost.some(({ before }) => before.some(({ address }) => addresses.has(address)))
}

const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'

// A slice without the label was made by hand, or by a controller that does not follow the convention.
export function isKeptByController({ object }: ObjectRecord): boolean {
  const manager = fieldsOf(object.metadata['labels'])[MANAGED_BY]
  return manager === undefined || manager === 'endpointslice-controller.k8s.io'
}

/** Whether the slice was given to another Service. */
const hasMoved = ({ event, object }: ObjectRecord, lost: readonly LostPort[]): boolean =>
  event === 'MODIFIED' && lost.some(({ port }) => serviceOf(object) !== port.service)

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
function usableEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
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
