import { canonical, sortMembers } from './canonical-json.js'
import { isJsonObject } from './is-json-object.js'
import { textDigest } from './text-digest.js'
import { OBJECT_KINDS } from './kubernetes-object.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from './kubernetes-object.js'

/**
 * What the engine and the change log keep of an object of the Kubernetes API; `undefined` where the value is no named
 * object of a kind that the proxy reads.
 *
 * - Service: metadata, the whole spec and status.
 * - EndpointSlice: metadata, addressType, ports, and of each endpoint addresses, conditions, hints, nodeName, targetRef, zone.
 * - Node: metadata without annotations, pod CIDRs, taints, addresses.
 *
 * managedFields entries lose `fieldsV1` and get `fieldsDigest` instead, by which a change within one second is still seen.
 * Members that are null are left out (to the API null is unset), and members are in order of their names, so that equal
 * objects are equal text. A field of a wrong type is kept as it is: the model reports it. Idempotent.
 */
export function keepObject(raw: unknown): KubernetesObject | undefined {
  if (!isJsonObject(raw)) return undefined
  const kind = raw['kind']
  const metadata = raw['metadata']
  if (!isObjectKind(kind) || !isJsonObject(metadata)) return undefined
  if (typeof metadata['name'] !== 'string' || metadata['name'] === '') return undefined
  if (metadata['namespace'] != null && typeof metadata['namespace'] !== 'string') return undefined
  // The checks above are the promise of KubernetesObject; the compiler cannot follow them through a copy.
  return keepers[kind](raw, metadata) as KubernetesObject
}

const keepers: { readonly [kind in ObjectKind]: (raw: JsonObject, metadata: JsonObject) => JsonObject } = {
  Service: (raw, metadata) =>
    compact({
      apiVersion: canonical(raw['apiVersion']),
      kind: raw['kind'],
      metadata: keepMetadata(metadata),
      spec: canonical(raw['spec']),
      status: canonical(raw['status']),
    }),
  EndpointSlice: (raw, metadata) =>
    compact({
      addressType: canonical(raw['addressType']),
      apiVersion: canonical(raw['apiVersion']),
      endpoints: raw['endpoints'] == null ? undefined : keepEach(raw['endpoints'], keepEndpoint),
      kind: raw['kind'],
      metadata: keepMetadata(metadata),
      ports: canonical(raw['ports']),
    }),
  Node: (raw, metadata) =>
    compact({
      apiVersion: canonical(raw['apiVersion']),
      kind: raw['kind'],
      metadata: keepNodeMetadata(metadata),
      spec: pick(raw['spec'], ['podCIDR', 'podCIDRs', 'taints']),
      status: pick(raw['status'], ['addresses']),
    }),
}

const isObjectKind = (kind: unknown): kind is ObjectKind => OBJECT_KINDS.some((known) => known === kind)

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

// Written out, member by member: this runs for every event, and an object that is built so is made and read twice as fast.
function keepMetadata(metadata: JsonObject): JsonObject {
  const { annotations, creationTimestamp, deletionGracePeriodSeconds, deletionTimestamp, finalizers } = metadata
  const { generateName, generation, labels, managedFields, name, namespace } = metadata
  const { ownerReferences, resourceVersion, uid } = metadata
  const kept: { [key: string]: Json } = {}
  if (annotations != null) kept['annotations'] = keepAnnotations(annotations)
  if (creationTimestamp != null) kept['creationTimestamp'] = ordered(creationTimestamp)
  if (deletionGracePeriodSeconds != null) kept['deletionGracePeriodSeconds'] = ordered(deletionGracePeriodSeconds)
  if (deletionTimestamp != null) kept['deletionTimestamp'] = ordered(deletionTimestamp)
  if (finalizers != null) kept['finalizers'] = ordered(finalizers)
  if (generateName != null) kept['generateName'] = ordered(generateName)
  if (generation != null) kept['generation'] = ordered(generation)
  if (labels != null) kept['labels'] = ordered(labels)
  if (managedFields != null) kept['managedFields'] = keepEach(managedFields, keepManagedFields)
  if (name != null) kept['name'] = name
  if (namespace != null) kept['namespace'] = namespace
  if (ownerReferences != null) kept['ownerReferences'] = ordered(ownerReferences)
  if (resourceVersion != null) kept['resourceVersion'] = ordered(resourceVersion)
  if (uid != null) kept['uid'] = ordered(uid)
  if (countMembers(kept) === countMembers(metadata)) return kept
  const { selfLink: _selfLink, ...others } = metadata
  return sortMembers({ ...others, ...kept })
}

/** Members that are neither null nor absent. */
function countMembers(value: JsonObject): number {
  let count = 0
  for (const key in value) if (value[key] != null) count++
  return count
}

/** `canonical` of a value that is there. */
const ordered = (value: Json): Json => (typeof value === 'object' ? (canonical(value) ?? null) : value)

const keepNodeMetadata = (metadata: JsonObject): JsonObject => {
  const { annotations: _annotations, ...kept } = keepMetadata(metadata)
  return kept
}

function keepAnnotations(annotations: Json): Json {
  if (!isJsonObject(annotations) || annotations[LAST_APPLIED] === undefined) return ordered(annotations)
  const { [LAST_APPLIED]: _lastApplied, ...kept } = annotations
  return ordered(kept)
}

function keepManagedFields(entry: JsonObject): JsonObject {
  const { apiVersion, fieldsV1, fieldsDigest, manager, operation, subresource, time } = entry
  const kept: { [key: string]: Json } = {}
  const digest = fieldsV1 == null ? fieldsDigest : textDigest(JSON.stringify(fieldsV1))
  if (apiVersion != null) kept['apiVersion'] = apiVersion
  if (digest != null) kept['fieldsDigest'] = digest
  if (manager != null) kept['manager'] = manager
  if (operation != null) kept['operation'] = operation
  if (subresource != null) kept['subresource'] = subresource
  if (time != null) kept['time'] = time
  return kept
}

function keepEndpoint(endpoint: JsonObject): JsonObject {
  const { addresses, conditions, hints, nodeName, targetRef, zone } = endpoint
  const kept: { [key: string]: Json } = {}
  if (addresses != null) kept['addresses'] = ordered(addresses)
  if (conditions != null) kept['conditions'] = ordered(conditions)
  if (hints != null) kept['hints'] = ordered(hints)
  if (nodeName != null) kept['nodeName'] = ordered(nodeName)
  if (targetRef != null) kept['targetRef'] = keepTargetRef(targetRef)
  if (zone != null) kept['zone'] = ordered(zone)
  return kept
}

/** The API server writes the namespace before the name. */
function keepTargetRef(reference: Json): Json {
  if (!isJsonObject(reference)) return ordered(reference)
  const { kind, name, namespace, uid } = reference
  const isUsual = isText(kind) && isText(name) && isText(namespace) && isText(uid) && countMembers(reference) === 4
  return isUsual ? { kind, name, namespace, uid } : ordered(reference)
}

const isText = (value: Json | undefined): value is string => typeof value === 'string'

function keepEach(list: Json, keep: (item: JsonObject) => JsonObject): Json {
  if (!Array.isArray(list)) return ordered(list)
  return list.map((item: Json) => (isJsonObject(item) ? keep(item) : ordered(item)))
}

function pick(value: Json | undefined, members: readonly string[]): Json | undefined {
  if (!isJsonObject(value)) return canonical(value)
  const kept: { [key: string]: Json | undefined } = {}
  for (const member of members) kept[member] = canonical(value[member])
  return compact(kept)
}

/** Without its undefined and null members. The members have to be in order already. */
function compact(members: JsonObject): JsonObject {
  const kept: { [key: string]: Json } = {}
  for (const key in members) {
    const value = members[key]
    if (value != null) kept[key] = value
  }
  return kept
}
