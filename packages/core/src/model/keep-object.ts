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
      endpoints: keepEach(raw['endpoints'], keepEndpoint),
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

/** Members of metadata that the API has, in order. An object with another one takes the longer way. */
const METADATA = [
  'annotations',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'labels',
  'managedFields',
  'name',
  'namespace',
  'ownerReferences',
  'resourceVersion',
  'uid',
] as const

function keepMetadata(metadata: JsonObject): JsonObject {
  const kept: { [key: string]: Json } = {}
  let known = 0
  for (const key of METADATA) {
    const value = metadata[key]
    if (value === undefined) continue
    known++
    const member = keepMetadataMember(key, value)
    if (member !== undefined) kept[key] = member
  }
  if (known === countMembers(metadata)) return kept
  const { selfLink: _selfLink, ...others } = metadata
  return sortMembers({ ...others, annotations: kept['annotations'], managedFields: kept['managedFields'] })
}

function keepMetadataMember(key: (typeof METADATA)[number], value: Json): Json | undefined {
  if (key === 'managedFields') return keepEach(value, keepManagedFields)
  return key === 'annotations' ? keepAnnotations(value) : canonical(value)
}

function countMembers(value: JsonObject): number {
  let count = 0
  for (const key in value) if (value[key] !== undefined) count++
  return count
}

const keepNodeMetadata = (metadata: JsonObject): JsonObject => {
  const { annotations: _annotations, ...kept } = keepMetadata(metadata)
  return kept
}

function keepAnnotations(annotations: Json): Json | undefined {
  if (!isJsonObject(annotations) || annotations[LAST_APPLIED] === undefined) return canonical(annotations)
  const { [LAST_APPLIED]: _lastApplied, ...kept } = annotations
  return canonical(kept)
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

const ENDPOINT = ['addresses', 'conditions', 'hints', 'nodeName', 'targetRef', 'zone'] as const

function keepEndpoint(endpoint: JsonObject): JsonObject {
  const kept: { [key: string]: Json } = {}
  for (const key of ENDPOINT) {
    const value = canonical(endpoint[key])
    if (value !== undefined) kept[key] = value
  }
  return kept
}

function keepEach(list: Json | undefined, keep: (item: JsonObject) => JsonObject): Json | undefined {
  if (!Array.isArray(list)) return canonical(list)
  return list.map((item: Json) => (isJsonObject(item) ? keep(item) : (canonical(item) ?? null)))
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
