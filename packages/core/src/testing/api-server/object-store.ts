import { isJsonObject } from '../../model/json-value.js'
import { API_RESOURCES, type ApiResource, keyOf, type ResourceName, resourceOf } from './api-resource.js'
import type { Json, JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'

/** One change of one object, as the store remembers it. */
export interface Revision {
  readonly resourceVersion: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly resource: ApiResource
  /** After the change; for DELETED what it was, with the deletion's resourceVersion. */
  readonly object: KubernetesObject
  /** Absent for ADDED. */
  readonly previous?: KubernetesObject
}

/** Objects with one counter of changes for all kinds, and the history of changes since the last compaction. */
export interface ObjectStore {
  /** The counter, as a number. */
  readonly resourceVersion: () => number
  /** History reaches back to here: a watch from an older resourceVersion is too old. */
  readonly compactedAt: () => number
  /**
   * Creates or replaces, as the API server stores it: the uid and creation time stay, managedFields stay where none are
   * given, the resourceVersion is the next. What changes nothing is no change.
   */
  readonly put: (object: KubernetesObject) => KubernetesObject
  /** Undefined: there is no such object. */
  readonly remove: (resource: ResourceName, key: string) => KubernetesObject | undefined
  /** In the order of lists. `at`: as of an older resourceVersion, which history must reach back to. */
  readonly objects: (resource: ResourceName, at?: number) => readonly KubernetesObject[]
  /** Changes after a resourceVersion, oldest first. */
  readonly revisionsAfter: (resource: ResourceName, resourceVersion: number) => readonly Revision[]
  /** Forgets what was before the present. */
  readonly compact: () => void
  /** Moves the counter as changes of other kinds do. */
  readonly skip: (count: number) => void
  /** Told of each change when it has happened. Gives what ends that. */
  readonly subscribe: (listener: (revision: Revision) => void) => () => void
}

export interface StoreOptions {
  /** Milliseconds since 1970 UTC, for creation times. */
  readonly now: () => number
  readonly firstResourceVersion?: number
}

export function createObjectStore({ now, firstResourceVersion = 1 }: StoreOptions): ObjectStore {
  const objects = Object.fromEntries(
    Object.keys(API_RESOURCES).map((name) => [name, new Map<string, KubernetesObject>()]),
  ) as Record<ResourceName, Map<string, KubernetesObject>>
  const listeners = new Set<(revision: Revision) => void>()
  let revisions: Revision[] = []
  let counter = firstResourceVersion
  let compactedAt = firstResourceVersion
  let created = 0

  const record = (revision: Revision): KubernetesObject => {
    counter = revision.resourceVersion
    revisions.push(revision)
    for (const listener of listeners) listener(revision)
    return revision.object
  }

  return {
    resourceVersion: () => counter,
    compactedAt: () => compactedAt,

    put(given) {
      const resource = resourceOf(given)
      const kept = objects[resource.name]
      const previous = kept.get(keyOf(given))
      if (previous === undefined) created += 1
      const identity = { uid: uidOf(created), creationTimestamp: timestamp(now()) }
      const object = stored(given, { resource, previous, identity, resourceVersion: counter + 1 })
      if (previous !== undefined && isUnchanged(object, previous)) return previous
      kept.set(keyOf(object), object)
      const change = { resourceVersion: counter + 1, resource, object }
      return record(previous === undefined ? { ...change, type: 'ADDED' } : { ...change, type: 'MODIFIED', previous })
    },

    remove(name, key) {
      const previous = objects[name].get(key)
      if (previous === undefined) return undefined
      objects[name].delete(key)
      const resourceVersion = counter + 1
      const object = withVersion(previous, resourceVersion)
      return record({ type: 'DELETED', resourceVersion, resource: API_RESOURCES[name], object, previous })
    },

    objects(name, at = counter) {
      const then = new Map(objects[name])
      for (const { resource, object, previous } of newestFirst(revisions, at)) {
        if (resource.name !== name) continue
        if (previous === undefined) then.delete(keyOf(object))
        else then.set(keyOf(object), previous)
      }
      return [...then].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
    },

    revisionsAfter: (name, resourceVersion) =>
      revisions.filter((each) => each.resourceVersion > resourceVersion && each.resource.name === name),

    compact() {
      revisions = []
      compactedAt = counter
    },

    skip(count) {
      counter += count
    },

    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** As of another resourceVersion, otherwise the same. */
export const withVersion = (object: KubernetesObject, resourceVersion: number): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: String(resourceVersion) },
})

function* newestFirst(revisions: readonly Revision[], after: number): Iterable<Revision> {
  for (let index = revisions.length - 1; index >= 0; index -= 1) {
    const revision = revisions[index]
    if (revision === undefined || revision.resourceVersion <= after) return
    yield revision
  }
}

/** Whether a version says nothing that the one before it did not. */
function isUnchanged(object: KubernetesObject, previous: KubernetesObject): boolean {
  const { resourceVersion, generation } = previous.metadata
  const counters = { resourceVersion, ...(generation !== undefined && { generation }) }
  return JSON.stringify({ ...object, metadata: { ...object.metadata, ...counters } }) === JSON.stringify(previous)
}

interface Circumstances {
  readonly resource: ApiResource
  readonly previous: KubernetesObject | undefined
  readonly identity: JsonObject
  readonly resourceVersion: number
}

/** Fields in the order in which the API server writes them. */
function stored(
  given: KubernetesObject,
  { resource, previous, identity, resourceVersion }: Circumstances,
): KubernetesObject {
  const { kind: _kind, apiVersion: _apiVersion, metadata, ...rest } = given
  const { name, namespace, uid, creationTimestamp, labels, annotations, managedFields, generation, ...others } =
    metadata
  const before: JsonObject = previous?.metadata ?? {}
  return {
    kind: resource.kind,
    apiVersion: resource.apiVersion,
    metadata: {
      name,
      ...(resource.isNamespaced && { namespace: namespace ?? 'default' }),
      uid: uid ?? before['uid'] ?? identity['uid'],
      resourceVersion: String(resourceVersion),
      ...present({ generation: generation ?? nextGeneration(resource, before) }),
      creationTimestamp: creationTimestamp ?? before['creationTimestamp'] ?? identity['creationTimestamp'],
      ...present({ labels: unlessEmpty(labels), annotations: unlessEmpty(annotations) }),
      ...present({ ...others, resourceVersion: undefined }),
      ...present({ managedFields: managedFields ?? before['managedFields'] }),
    },
    ...rest,
  }
}

/** EndpointSlices count their changes, Services and Nodes do not. */
function nextGeneration({ kind }: ApiResource, { generation }: JsonObject): Json | undefined {
  if (kind !== 'EndpointSlice') return undefined
  return typeof generation === 'number' ? generation + 1 : 1
}

const present = (fields: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const unlessEmpty = (value: Json | undefined): Json | undefined =>
  isJsonObject(value) && Object.keys(value).length === 0 ? undefined : value

const timestamp = (epochMs: number): string => new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z')

const uidOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
