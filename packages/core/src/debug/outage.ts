import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServiceName } from '../model/names.js'
import type { ObjectRecord } from '../model/record.js'

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
