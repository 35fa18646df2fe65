import { serviceOf } from '../model/names.js'
import { endpointKey } from '../model/endpoint.js'
import type { ObjectRecord } from '../model/record.js'
import { fieldsOf, listOf, objectsIn } from './describe-values.js'
import type { OutageCause, ServiceEdit } from './outage.js'
import type { LostPort } from './usable-endpoints.js'

export interface Loss {
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
  const addresses = new Set(objectsIn(object['endpoints']).flatMap((endpoint) => listOf(endpoint['addresses'])))
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
