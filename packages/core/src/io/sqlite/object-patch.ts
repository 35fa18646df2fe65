import { diffMergePatch, inOrder, isJsonObject, mergePatch } from '../../model/json-value.js'
import type { Json, JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import { diffKeyedList, FULL, type KeyOf, patchKeyedList, storeKeyedList } from './keyed-list.js'

/**
 * The change of an object as the log stores it: a merge patch (RFC 7396) between stored forms. The stored form of an
 * object is the object as kept, with the lists of endpoints and managedFields as objects, and without its
 * resourceVersion, which every record has in a column. Undefined where only the whole stored form can say it.
 */
export function diffObject(from: KubernetesObject, to: KubernetesObject): JsonObject | undefined {
  const patch: { [key: string]: Json } = {}
  for (const key in to) {
    const value = to[key]
    if (value === undefined || value === from[key]) continue
    const change = diffField(key, from[key], value)
    if (change === FULL_CHANGE) return undefined
    if (change !== undefined) patch[key] = change
  }
  for (const key in from) if (from[key] !== undefined && to[key] === undefined) patch[key] = null
  return patch
}

/** The stored form of an object. */
export function storeObject(object: KubernetesObject): JsonObject {
  const { endpoints, metadata, ...rest } = object
  const { managedFields, resourceVersion, ...stored } = metadata
  return {
    ...rest,
    ...(endpoints === undefined ? {} : { endpoints: storeKeyedList(endpoints, endpointKeyOf) }),
    metadata: {
      ...stored,
      ...(managedFields === undefined ? {} : { managedFields: storeKeyedList(managedFields, managerKeyOf) }),
      ...(isInColumn(resourceVersion) ? {} : { resourceVersion }),
    },
  }
}

/** The object as kept that a stored form, or a patch to `from`, makes. Equal objects come out as equal text. */
export function patchObject(
  from: KubernetesObject | undefined,
  patch: JsonObject,
  resourceVersion: string,
): KubernetesObject {
  const patched: { [key: string]: Json | undefined } = { ...from }
  for (const key in patch) {
    const change = patch[key]
    patched[key] = change == null ? undefined : patchField(key, patched[key], change)
  }
  const metadata = isJsonObject(patched['metadata']) ? patched['metadata'] : {}
  const former = metadata['resourceVersion']
  const version = resourceVersion !== '' ? resourceVersion : isInColumn(former) ? undefined : former
  patched['metadata'] = former === version ? inOrder(metadata) : inOrder({ ...metadata, resourceVersion: version })
  // What was stored was a kept object, which has a kind and a name.
  return inOrder(patched) as KubernetesObject
}

/** What stands in the column: a version that is a text. Anything else stays in the patch. */
export const isInColumn = (resourceVersion: Json | undefined): resourceVersion is string =>
  typeof resourceVersion === 'string' && resourceVersion !== ''

/** The key of an endpoint is its first address, of a managedFields entry its manager, operation and subresource. */
export const endpointKeyOf: KeyOf = ({ addresses }) => {
  const address: unknown = Array.isArray(addresses) ? addresses[0] : undefined
  return typeof address === 'string' ? address : undefined
}
export const managerKeyOf: KeyOf = ({ manager, operation, subresource }) =>
  typeof manager !== 'string' ? undefined : managerKey(manager, text(operation), text(subresource))
export const managerKey = (manager: string, operation: string, subresource: string): string =>
  `${manager}/${operation}${subresource === '' ? '' : `/${subresource}`}`
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

const FULL_CHANGE = Symbol('full')

function diffField(key: string, from: Json | undefined, to: Json): Json | undefined | typeof FULL_CHANGE {
  if (key === 'endpoints') return orFull(diffKeyedList(from, to, endpointKeyOf))
  if (key === 'metadata' && isJsonObject(from) && isJsonObject(to)) return diffMetadata(from, to)
  return diffMergePatch(from, to)
}

function diffMetadata(from: JsonObject, to: JsonObject): JsonObject | undefined | typeof FULL_CHANGE {
  const patch: { [key: string]: Json } = {}
  let changes = 0
  for (const key in to) {
    const value = to[key]
    if (value === undefined || value === from[key]) continue
    if (key === 'resourceVersion' && isInColumn(value)) continue
    const change =
      key === 'managedFields' ? orFull(diffKeyedList(from[key], value, managerKeyOf)) : diffMergePatch(from[key], value)
    if (change === FULL_CHANGE) return FULL_CHANGE
    if (change === undefined) continue
    patch[key] = change
    changes++
  }
  for (const key in from) {
    if (from[key] === undefined || (key === 'resourceVersion' && isInColumn(from[key]))) continue
    if (to[key] !== undefined && !(key === 'resourceVersion' && isInColumn(to[key]))) continue
    patch[key] = null
    changes++
  }
  return changes === 0 ? undefined : patch
}

const orFull = (change: Json | undefined): Json | undefined | typeof FULL_CHANGE =>
  change === FULL ? FULL_CHANGE : change

function patchField(key: string, from: Json | undefined, change: Json): Json {
  if (key === 'endpoints') return patchKeyedList(from, change, endpointKeyOf)
  if (key === 'metadata' && isJsonObject(change)) return patchMetadata(isJsonObject(from) ? from : {}, change)
  return mergePatch(from, change)
}

function patchMetadata(from: JsonObject, { managedFields, ...change }: JsonObject): Json {
  const patched = mergePatch(from, change) as JsonObject
  if (managedFields === undefined) return patched
  const list = managedFields === null ? undefined : patchKeyedList(from['managedFields'], managedFields, managerKeyOf)
  return { ...patched, managedFields: list }
}
