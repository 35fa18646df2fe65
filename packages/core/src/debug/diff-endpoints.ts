import { type Endpoint, endpointKey } from '../model/endpoint.js'
import { isEqual } from '../model/is-equal.js'
import type { ServicePort } from '../model/service-port.js'
import type { State } from '../state/state.js'

export interface EndpointDifference {
  /** Absent: it came. */
  readonly before?: Endpoint
  /** Absent: it left. */
  readonly after?: Endpoint
}

/** A service port whose endpoints are not what they were, or that was not there before or is not after. */
export interface PortDifference {
  /** As it is, else as it was. */
  readonly port: ServicePort
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly before: readonly Endpoint[]
  readonly after: readonly Endpoint[]
  /** By address. */
  readonly endpoints: readonly EndpointDifference[]
}

type Endpoints = Pick<State, 'services' | 'endpoints'>

/** The service ports that differ in their endpoints, by name. A port that comes or goes without any endpoint counts. */
export function diffEndpoints(before: Endpoints, after: Endpoints): readonly PortDifference[] {
  const ids = [...new Set([...before.services.keys(), ...after.services.keys()])].toSorted()
  return ids.flatMap((id): readonly PortDifference[] => {
    const [was, is] = [before.services.get(id), after.services.get(id)]
    const port = is ?? was
    const lists = {
      before: was === undefined ? [] : (before.endpoints.get(id) ?? []),
      after: is === undefined ? [] : (after.endpoints.get(id) ?? []),
    }
    const event = was === undefined ? 'ADDED' : is === undefined ? 'DELETED' : 'MODIFIED'
    if (port === undefined || (event === 'MODIFIED' && isEqual(lists.before, lists.after))) return []
    return [{ port, event, ...lists, endpoints: differencesIn(lists) }]
  })
}

function differencesIn({ before, after }: Pick<PortDifference, 'before' | 'after'>): readonly EndpointDifference[] {
  const was = new Map(before.map((endpoint) => [endpointKey(endpoint), endpoint]))
  const is = new Map(after.map((endpoint) => [endpointKey(endpoint), endpoint]))
  return [...new Set([...was.keys(), ...is.keys()])].toSorted().flatMap((key) => {
    const [old, current] = [was.get(key), is.get(key)]
    if (isEqual(old, current)) return []
    return [{ ...(old && { before: old }), ...(current && { after: current }) }]
  })
}
