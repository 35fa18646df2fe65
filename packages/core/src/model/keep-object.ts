import { canonical, isJsonObject, sortMembers } from './json-value.js'
import {
  API_VERSIONS,
  type Json,
  type JsonObject,
  type KubernetesObject,
  OBJECT_KINDS,
  type ObjectKind,
} from './kubernetes-object.js'
import { excessOf, jsonPieces, OBJECT_BOUNDS } from './object-bounds.js'

/**
 * What the engine and the change log keep of an object of the Kubernetes API; `undefined` where the value is no named
 * object of a kind that the proxy reads, or passes OBJECT_BOUNDS in what is kept of it (`excessOfObject`).
 *
 * - Service: metadata, the whole spec and status.
 * - EndpointSlice: metadata, addressType, ports, and of each endpoint addresses, conditions, hints, nodeName, targetRef, zone;
 *   of one that stands for an Endpoints its subsets.
 * - Node: metadata without annotations, pod CIDRs, taints, addresses.
 * - ServiceCIDR: metadata, CIDRs, and the conditions of its status.
 *
 * managedFields entries lose `fieldsV1` and get `fieldsDigest` instead, by which a change within one second is still seen.
 * Members that are null are left out (to the API null is unset), and members are in order of their names, so that equal
 * objects are equal text. A field of a wrong type is kept as it is: the model reports it. Idempotent.
 */
export function keepObject(raw: unknown): KubernetesObject | undefined {
  if (!isNamedObject(raw) || excessOfObject(raw) !== undefined) return undefined
  // isNamedObject is the promise of KubernetesObject; the compiler cannot follow it through a copy.
  return keepers[raw.kind](raw, raw.metadata) as KubernetesObject
}

/** Whether a value is an object of a kind that the proxy reads, with a name. */
export function isNamedObject(raw: unknown): raw is KubernetesObject {
  if (!isJsonObject(raw)) return false
  const { kind, metadata } = raw
  if (!isObjectKind(kind) || !isJsonObject(metadata)) return false
  const { name, namespace } = metadata
  return typeof name === 'string' && name !== '' && (namespace == null || typeof namespace === 'string')
}

/** Why an object is too deep or too large to be kept; undefined: it is not. What is not kept of it does not count. */
export const excessOfObject = (object: KubernetesObject): string | undefined => excessOf(keptValues(object))

/** What names an object and its version, and nothing else of it: as much as its deletion needs. */
export function bareObject({ kind, metadata }: KubernetesObject): KubernetesObject {
  const { name, namespace, resourceVersion, uid } = metadata
  return {
    apiVersion: API_VERSIONS[kind],
    kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      ...(typeof resourceVersion === 'string' && { resourceVersion }),
      ...(typeof uid === 'string' && { uid }),
    },
  }
}

/** The last version of an object, with the resourceVersion of its deletion where that has one. */
export function withVersionOf({ metadata }: KubernetesObject, last: KubernetesObject): KubernetesObject {
  const { resourceVersion } = metadata
  if (resourceVersion === undefined || resourceVersion === '') return last
  return { ...last, metadata: { ...last.metadata, resourceVersion } }
}

/** The values that the keepers below go through. */
function keptValues({ kind, apiVersion, metadata, ...raw }: KubernetesObject): readonly (Json | undefined)[] {
  const { annotations, managedFields, selfLink: _selfLink, ...others } = metadata
  const values: (Json | undefined)[] = [apiVersion, ...Object.values(others)]
  const add = (value: Json | undefined, dropped: readonly string[] = []): void => {
    if (!isJsonObject(value)) return void values.push(value)
    for (const key in value) if (!dropped.includes(key)) values.push(key, value[key])
  }
  const addEach = (list: Json | undefined, addItem: (item: JsonObject) => void): void => {
    if (!Array.isArray(list)) return void values.push(list)
    for (const item of list as readonly Json[]) {
      if (isJsonObject(item)) addItem(item)
      else values.push(item)
    }
  }
  if (kind !== 'Node') add(annotations, [LAST_APPLIED])
  addEach(managedFields, (entry) => add(entry, ['fieldsV1']))
  switch (kind) {
    case 'Service':
      values.push(raw['spec'], raw['status'])
      break
    case 'EndpointSlice':
      values.push(raw['addressType'], raw['ports'], raw['subsets'])
      addEach(raw['endpoints'], ({ addresses, conditions, hints, nodeName, targetRef, zone }) =>
        values.push(addresses, conditions, hints, nodeName, targetRef, zone),
      )
      break
    case 'Node':
      values.push(...picked(raw['spec'], NODE_SPEC), ...picked(raw['status'], NODE_STATUS))
      break
    case 'ServiceCIDR':
      values.push(...picked(raw['spec'], SERVICE_CIDR_SPEC), ...picked(raw['status'], SERVICE_CIDR_STATUS))
  }
  return values
}

const NODE_SPEC = ['podCIDR', 'podCIDRs', 'taints'] as const
const NODE_STATUS = ['addresses'] as const
const SERVICE_CIDR_SPEC = ['cidrs'] as const
const SERVICE_CIDR_STATUS = ['conditions'] as const

const picked = (value: Json | undefined, members: readonly string[]): readonly (Json | undefined)[] =>
  isJsonObject(value) ? members.map((member) => value[member]) : [value]

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
      subsets: canonical(raw['subsets']),
    }),
  Node: (raw, metadata) =>
    compact({
      apiVersion: canonical(raw['apiVersion']),
      kind: raw['kind'],
      metadata: keepNodeMetadata(metadata),
      spec: pick(raw['spec'], NODE_SPEC),
      status: pick(raw['status'], NODE_STATUS),
    }),
  ServiceCIDR: (raw, metadata) =>
    compact({
      apiVersion: canonical(raw['apiVersion']),
      kind: raw['kind'],
      metadata: keepMetadata(metadata),
      spec: pick(raw['spec'], SERVICE_CIDR_SPEC),
      status: pick(raw['status'], SERVICE_CIDR_STATUS),
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

const keepNodeMetadata = ({ annotations: _annotations, ...metadata }: JsonObject): JsonObject => keepMetadata(metadata)

function keepAnnotations(annotations: Json): Json {
  if (!isJsonObject(annotations) || annotations[LAST_APPLIED] === undefined) return ordered(annotations)
  const { [LAST_APPLIED]: _lastApplied, ...kept } = annotations
  return ordered(kept)
}

function keepManagedFields(entry: JsonObject): JsonObject {
  const { apiVersion, fieldsV1, fieldsDigest, manager, operation, subresource, time } = entry
  const kept: { [key: string]: Json } = {}
  const digest = fieldsV1 == null ? fieldsDigest : fieldsDigestOf(fieldsV1)
  if (apiVersion != null) kept['apiVersion'] = ordered(apiVersion)
  if (digest != null) kept['fieldsDigest'] = ordered(digest)
  if (manager != null) kept['manager'] = ordered(manager)
  if (operation != null) kept['operation'] = ordered(operation)
  if (subresource != null) kept['subresource'] = ordered(subresource)
  if (time != null) kept['time'] = ordered(time)
  return kept
}

/**
 * Of the text of fieldsV1, however deep it is: API servers take it as it comes from anybody who may write an object, and
 * kube-proxy never looks into it.
 */
function fieldsDigestOf(fieldsV1: Json): string {
  const isDeep = excessOf([fieldsV1], { ...OBJECT_BOUNDS, characters: Infinity }) !== undefined
  return textDigest(isDeep ? jsonPieces(fieldsV1) : JSON.stringify(fieldsV1))
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

/**
 * Eight hexadecimal digits of FNV-1a (32 bits, over UTF-16 code units) of a text, which may come in pieces: shows that a text
 * changed. Not a checksum against intent.
 */
export function textDigest(text: string | Iterable<string>): string {
  let hash = 0x811c9dc5
  for (const piece of typeof text === 'string' ? [text] : text)
    for (let index = 0; index < piece.length; index++) hash = Math.imul(hash ^ piece.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
