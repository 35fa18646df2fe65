import { isJsonObject, jsonEqual, mergePatch } from '../../model/json-value.js'
import { keepObject } from '../../model/keep-object.js'
import type { Json, JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import type { AuditedRequest } from './parse-audit-event.js'

export type PatchedObject =
  /** Without a resourceVersion: only the API server knows it. */
  | { readonly type: 'patched'; readonly object: KubernetesObject }
  /** It touched nothing that is kept. */
  | { readonly type: 'same' }
  | { readonly type: 'inexact'; readonly why: string }

interface AuditedPatch extends Pick<AuditedRequest, 'kind' | 'subresource'> {
  readonly patch: Json
}

/**
 * The version of a kept object after a patch that an API audit log holds as it was sent, where the patch alone decides it. An audit log does
 * not say which sort of patch it was: a list is a JSON Patch (RFC 6902); an object a JSON merge patch (RFC 7396) or a strategic merge patch,
 * which mean the same as long as no list with merge keys and no directive is in it; one that names its kind is a server-side apply.
 * Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
 */
export function applyAuditedPatch(base: JsonObject, { patch, kind, subresource }: AuditedPatch): PatchedObject {
  const inexact = (why: string): PatchedObject => ({ type: 'inexact', why })
  if (kind === 'Endpoints') return inexact('only a response holds the EndpointSlice that it stands for')
  if (subresource === 'status' && Array.isArray(patch)) return inexact('a JSON Patch of the status is not followed')
  let patched: Json | undefined
  if (Array.isArray(patch)) {
    patched = applyOperations(base, patch)
    if (patched === undefined) return inexact('a JSON Patch reaches into what is not kept of the object')
  } else if (isJsonObject(patch)) {
    if (patch['kind'] !== undefined && patch['apiVersion'] !== undefined)
      return inexact('the result of a server-side apply depends on who manages which field')
    const relevant = relevantPart(patch, { kind, subresource })
    const unclear = unclearList(relevant)
    if (unclear !== undefined)
      return inexact(`${unclear}: the result depends on the sort of patch, which the log does not name`)
    patched = mergePatch(base, relevant)
  } else return inexact('it is no patch')
  const before = keepObject(base)
  const after = keepObject(patched)
  if (before === undefined || after === undefined) return inexact('the result is no object')
  if (jsonEqual(before, after)) return { type: 'same' }
  if (kind === 'Service' && !jsonEqual(withoutSimple(before), withoutSimple(after)))
    return inexact('the API server sets other fields of a Service by these')
  const { resourceVersion: _, ...metadata } = after.metadata
  return { type: 'patched', object: { ...after, metadata } }
}

/** The part of a patch that the endpoint of the request lets through and that is kept. */
function relevantPart(
  patch: JsonObject,
  { kind, subresource }: Pick<AuditedRequest, 'kind' | 'subresource'>,
): JsonObject {
  const part: { [key: string]: Json } = {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue
    if (key === 'status' ? subresource !== 'status' : key !== 'metadata' && subresource === 'status') continue
    part[key] = value
  }
  const { status, metadata } = part
  // Of the status of a Node only its addresses are kept.
  if (kind === 'Node' && isJsonObject(status)) {
    const addresses = Object.entries(status).filter(([key]) => key.endsWith('addresses'))
    part['status'] = Object.fromEntries(addresses)
  }
  if (kind === 'Node' && isJsonObject(metadata)) {
    const { annotations: _annotations, ...kept } = metadata
    part['metadata'] = kept
  }
  return part
}

/** Lists without merge keys: both sorts of patch replace them. Source: the OpenAPI of Kubernetes, x-kubernetes-patch-strategy. */
const REPLACED_LISTS: ReadonlySet<string> = new Set([
  '.spec.loadBalancerSourceRanges',
  '.spec.externalIPs',
  '.endpoints',
  '.status.loadBalancer.ingress',
])

/** The first list or directive of a patch that the two sorts of merge patch take differently. */
function unclearList(patch: JsonObject): string | undefined {
  const open: { readonly path: string; readonly value: Json }[] = [{ path: '', value: patch }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, value } = next
    if (Array.isArray(value) && !REPLACED_LISTS.has(path)) return `it holds the list ${path.slice(1, 100)}`
    if (!isJsonObject(value)) continue
    for (const [key, inner] of Object.entries(value)) {
      if (key.startsWith('$')) return `it holds the directive ${key.slice(0, 60)}`
      if (inner !== undefined) open.push({ path: `${path}.${key}`, value: inner })
    }
  }
  return undefined
}

/** The fields of a Service by which the API server sets no other. */
const SIMPLE_FIELDS = [
  'selector',
  'loadBalancerSourceRanges',
  'externalIPs',
  'publishNotReadyAddresses',
  'trafficDistribution',
]

function withoutSimple({ metadata: _metadata, ...object }: KubernetesObject): JsonObject {
  const { spec } = object as JsonObject
  const { status: _status, ...others } = object as JsonObject
  if (!isJsonObject(spec)) return others
  return { ...others, spec: Object.fromEntries(Object.entries(spec).filter(([key]) => !SIMPLE_FIELDS.includes(key))) }
}

const MOST_OPERATIONS = 1000

/**
 * A JSON Patch (RFC 6902) of members of objects: `add`, `replace`, `remove` and `test`. Undefined where it reaches into a list, or a test
 * does not hold: of what is kept, lists have lost members.
 */
function applyOperations(base: JsonObject, operations: readonly Json[]): JsonObject | undefined {
  if (operations.length > MOST_OPERATIONS) return undefined
  let object = base
  for (const operation of operations) {
    if (!isJsonObject(operation)) return undefined
    const { op, path, value } = operation
    if (typeof path !== 'string' || !path.startsWith('/')) return undefined
    const keys = path
      .slice(1)
      .split('/')
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    let at: Json | undefined = object
    for (const key of keys.slice(0, -1)) at = isJsonObject(at) ? at[key] : undefined
    const last = keys.at(-1) ?? ''
    if (!isJsonObject(at) || keys.some((key) => key === '__proto__')) return undefined
    const present = at[last]
    if (op === 'test') {
      // The version that a client expects: the request succeeded.
      if (path === '/metadata/resourceVersion' || jsonEqual(present, value)) continue
      return undefined
    }
    if (op !== 'add' && op !== 'replace' && op !== 'remove') return undefined
    if (op !== 'add' && present === undefined) return undefined
    if (op !== 'remove' && value === undefined) return undefined
    const change = op === 'remove' ? null : (value ?? null)
    // A merge patch replaces an object only after it was taken away.
    if (isJsonObject(change)) object = merged(object, keys, null)
    object = merged(object, keys, change)
  }
  return object
}

function merged(object: JsonObject, keys: readonly string[], value: Json): JsonObject {
  const patch = keys.reduceRight<Json>((inner, key) => ({ [key]: inner }), value)
  return mergePatch(object, patch) as JsonObject
}
