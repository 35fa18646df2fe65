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
      apiVersion: raw['apiVersion'],
      kind: raw['kind'],
      metadata: keepMetadata(metadata),
      spec: canonical(raw['spec']),
      status: canonical(raw['status']),
    }),
  EndpointSlice: (raw, metadata) =>
    compact({
      addressType: canonical(raw['addressType']),
      apiVersion: raw['apiVersion'],
      endpoints: keepEach(raw['endpoints'], keepEndpoint),
      kind: raw['kind'],
      metadata: keepMetadata(metadata),
      ports: canonical(raw['ports']),
    }),
  Node: (raw, metadata) =>
    compact({
      apiVersion: raw['apiVersion'],
      kind: raw['kind'],
      metadata: keepNodeMetadata(metadata),
      spec: pick(raw['spec'], ['podCIDR', 'podCIDRs', 'taints']),
      status: pick(raw['status'], ['addresses']),
    }),
}

const isObjectKind = (kind: unknown): kind is ObjectKind => OBJECT_KINDS.some((known) => known === kind)

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

function keepMetadata(metadata: JsonObject): JsonObject {
  const { managedFields, annotations, selfLink: _selfLink, ...rest } = metadata
  return sortMembers({
    ...rest,
    annotations: keepAnnotations(annotations),
    managedFields: keepEach(managedFields, keepManagedFields),
  })
}

const keepNodeMetadata = (metadata: JsonObject): JsonObject => {
  const { annotations: _annotations, ...kept } = keepMetadata(metadata)
  return kept
}

function keepAnnotations(annotations: Json | undefined): Json | undefined {
  if (!isJsonObject(annotations) || annotations[LAST_APPLIED] === undefined) return canonical(annotations)
  const { [LAST_APPLIED]: _lastApplied, ...kept } = annotations
  return canonical(kept)
}

function keepManagedFields(entry: JsonObject): JsonObject {
  const fields = entry['fieldsV1']
  return compact({
    apiVersion: entry['apiVersion'],
    fieldsDigest: fields == null ? entry['fieldsDigest'] : textDigest(JSON.stringify(fields)),
    manager: entry['manager'],
    operation: entry['operation'],
    subresource: entry['subresource'],
    time: entry['time'],
  })
}

function keepEndpoint(endpoint: JsonObject): JsonObject {
  return compact({
    addresses: canonical(endpoint['addresses']),
    conditions: canonical(endpoint['conditions']),
    hints: canonical(endpoint['hints']),
    nodeName: canonical(endpoint['nodeName']),
    targetRef: canonical(endpoint['targetRef']),
    zone: canonical(endpoint['zone']),
  })
}

function keepEach(list: Json | undefined, keep: (item: JsonObject) => JsonObject): Json | undefined {
  if (!Array.isArray(list)) return canonical(list)
  return list.map((item: Json) => (isJsonObject(item) ? keep(item) : (canonical(item) ?? null)))
}

function pick(value: Json | undefined, members: readonly string[]): Json | undefined {
  if (!isJsonObject(value)) return canonical(value)
  return compact(Object.fromEntries(members.map((member) => [member, canonical(value[member])])))
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
