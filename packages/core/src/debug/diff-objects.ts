import { type Endpoint, endpointKey } from '../model/endpoint.js'
import { isEqual, jsonEqual } from '../model/json-value.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import type { ServicePort } from '../model/service-port.js'
import type { State } from '../state/state.js'
import { describeChange, NOTHING_TOLD } from './describe-change.js'

/** An object that is not what it was. */
export interface ObjectDifference {
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly kind: ObjectKind
  /** Empty for a Node. */
  readonly namespace: string
  readonly name: string
  /** Deleted and made again: another object of the same name. */
  readonly recreated: boolean
  /** As `describeChange` tells. */
  readonly changes: readonly string[]
}

/**
 * What differs between the objects of two points, by kind, namespace and name. What only the API server keeps count by
 * (resourceVersion, managedFields, ...) is no difference.
 */
export function diffObjects(
  before: readonly KubernetesObject[],
  after: readonly KubernetesObject[],
): readonly ObjectDifference[] {
  const was = new Map(before.map((object) => [keyOf(object), object]))
  const is = new Map(after.map((object) => [keyOf(object), object]))
  const differences: ObjectDifference[] = []
  for (const key of [...new Set([...was.keys(), ...is.keys()])].toSorted()) {
    const difference = differenceOf(was.get(key), is.get(key))
    if (difference !== undefined) differences.push(difference)
  }
  return differences
}

function differenceOf(
  previous: KubernetesObject | undefined,
  current: KubernetesObject | undefined,
): ObjectDifference | undefined {
  const object = current ?? previous
  if (object === undefined || (previous !== undefined && current !== undefined && jsonEqual(previous, current)))
    return undefined
  const event = current === undefined ? 'DELETED' : previous === undefined ? 'ADDED' : 'MODIFIED'
  const recreated = event === 'MODIFIED' && previous?.metadata['uid'] !== current?.metadata['uid']
  const told = describeChange({ event, previous, object })
  const changes = told.filter((phrase) => phrase !== NOTHING_TOLD && !(recreated && FOLLOWS_FROM_NEW_LIFE.test(phrase)))
  if (changes.length === 0 && !recreated) return undefined
  const { kind, metadata } = object
  return { event, kind, namespace: metadata.namespace ?? '', name: metadata.name, recreated, changes }
}

const FOLLOWS_FROM_NEW_LIFE = /^metadata\.(?:uid|creationTimestamp) /

/** Services first, then their slices, then Nodes and ServiceCIDRs: what people edit before what follows from it. */
const RANK: { readonly [kind in ObjectKind]: number } = { Service: 0, EndpointSlice: 1, Node: 2, ServiceCIDR: 3 }

const keyOf = ({ kind, metadata }: KubernetesObject): string =>
  `${RANK[kind]} ${metadata.namespace ?? ''}/${metadata.name}`

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
