import { type Endpoint, endpointKey } from '../model/endpoint.js'
import type { ObjectRecord } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import type { PacketFate } from './follow-fate.js'
import { causeOf, isKeptByController } from './outage-cause.js'
import type { OutageCause, ServiceEdit } from './outage.js'

/** What is behind a record after which a packet's fate was another. */
export type FlipCause =
  /** Nothing: a Service, a Node or the configuration was changed, and that decides by itself. */
  | { readonly type: 'itself' }
  /** What takes a packet's endpoints away; an edit also where it gives some. */
  | OutageCause
  /** The endpoints are there and ready: their hints, nodes or zones changed, or those of others. */
  | { readonly type: 'hints' }
  /** Endpoints that were listed are ready now. */
  | { readonly type: 'ready' }
  /** Endpoints came that were not listed. */
  | { readonly type: 'pods-came' }

export interface SliceFlip {
  readonly record: ObjectRecord
  /** The edit of its Service that came right before. */
  readonly edit: ServiceEdit | undefined
  readonly before: PacketFate
  readonly after: PacketFate
  /** The service port that decided. */
  readonly port: ServicePort | undefined
  /** Its endpoints, whatever their conditions. */
  readonly listed: { readonly before: readonly Endpoint[]; readonly after: readonly Endpoint[] }
}

/** What a slice's change that a packet felt comes from: an edit only where it explains what is seen of the endpoints. */
export function flipCause({ record, edit, before, after, port, listed }: SliceFlip): FlipCause {
  const [was, is] = [reached(before), reached(after)]
  const lost = listed.before.filter((endpoint) => was.has(endpointKey(endpoint)) && !is.has(endpointKey(endpoint)))
  const came = listed.after.filter((endpoint) => is.has(endpointKey(endpoint)) && !was.has(endpointKey(endpoint)))
  if (lost.length > 0 && port !== undefined) {
    const left = listed.after.filter((endpoint) => lost.some((one) => endpointKey(one) === endpointKey(endpoint)))
    if (left.length > 0 && left.every(({ ready }) => ready)) return { type: 'hints' }
    return causeOf({ emptiedBy: record, lost: [{ port, before: lost, after: listed.after }], edit })
  }
  const former = listed.before.filter((endpoint) => came.some((one) => endpointKey(one) === endpointKey(endpoint)))
  if (former.length > 0) return { type: former.every(({ ready }) => ready) ? 'hints' : 'ready' }
  if (edit !== undefined) return { type: 'service-edit', edit }
  if (!isKeptByController(record)) return { type: 'slice-edit' }
  return { type: came.length > 0 ? 'pods-came' : 'hints' }
}

const reached = ({ endpoints }: PacketFate): ReadonlySet<string> => new Set(endpoints.map(endpointKey))
