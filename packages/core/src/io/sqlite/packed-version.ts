import { diffMergePatch, inOrder, isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import { checkKept, parseStored } from './checked-values.js'
import { diffKeyedList, FULL, keysOf } from './keyed-list.js'
import { diffObject, endpointKeyOf, isInColumn, managerKeyOf } from './object-patch.js'

/**
 * A version of an object as text, a fifth of the size of the object. A slice is held in parts: the next event changes one
 * endpoint and the time, so that comparing texts finds what changed, and only that is parsed.
 */
export type PackedVersion = PackedSlice | string

interface PackedSlice {
  /** All but endpoints and metadata. */
  readonly rest: string
  /** Metadata but for the members that follow. */
  readonly metadata: string
  readonly annotations: string | undefined
  readonly generation: string | undefined
  readonly managedFields: string | undefined
  readonly resourceVersion: string
  /** Each with a key of its own. */
  readonly endpoints: readonly string[]
}

export function packVersion(object: KubernetesObject): PackedVersion {
  const keys = endpointKeys(object)
  return keys === undefined ? JSON.stringify(object) : packSlice(object)
}

export function unpackVersion(packed: PackedVersion): KubernetesObject {
  return fromParsed(JSON.parse(packedLine(packed)) as Json)
}

/** The line of a snapshot. Text is put together, nothing is parsed. */
export function packedLine(packed: PackedVersion): string {
  if (typeof packed === 'string') return packed
  const { rest, metadata, annotations = 'null', generation = 'null', managedFields = 'null' } = packed
  const version = JSON.stringify(packed.resourceVersion)
  return `[${rest},${metadata},${annotations},${generation},${managedFields},${version},[${packed.endpoints.join()}]]`
}

/** In characters. */
export function sizeOfPacked(packed: PackedVersion): number {
  if (typeof packed === 'string') return packed.length
  const { rest, metadata, annotations = '', generation = '', managedFields = '', endpoints } = packed
  const parts = [rest, metadata, annotations, generation, managedFields, ...endpoints]
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** The object that a line of a snapshot holds. */
export const fromLine = (line: string, id: number): KubernetesObject =>
  checkKept(fromParsed(parseStored(line, `object ${id}`, 'its line of a snapshot')), `object ${id}`)

function fromParsed(parsed: Json): KubernetesObject {
  // What was packed was a kept object, which has a kind and a name; `fromLine` looks at what it gets.
  if (!Array.isArray(parsed)) return parsed as KubernetesObject
  const parts: readonly Json[] = parsed
  const [rest, metadata, annotations, generation, managedFields, resourceVersion, endpoints] = parts
  const whole = {
    ...asObject(metadata),
    annotations: annotations ?? undefined,
    generation: generation ?? undefined,
    managedFields: managedFields ?? undefined,
    resourceVersion,
  }
  return inOrder({ ...asObject(rest), endpoints, metadata: inOrder(whole) }) as KubernetesObject
}

const asObject = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})

export interface PackedDiff {
  /** As `diffObject` gives it: undefined where only the whole object can say it. */
  readonly change: JsonObject | undefined
  readonly packed: PackedVersion
  /** As much of the version before as tells the author of this one. */
  readonly before: { readonly metadata: JsonObject }
}

/** What `diffObject` gives for a packed version and the object that follows it, and that object packed. */
export function diffPacked(from: PackedVersion, to: KubernetesObject): PackedDiff {
  const keys = endpointKeys(to)
  if (typeof from === 'string' || keys === undefined) {
    const before = unpackVersion(from)
    return { change: diffObject(before, to), packed: packVersion(to), before }
  }
  const packed = packSlice(to, from)
  const endpoints = diffEndpoints(from.endpoints, packed.endpoints, { keys, items: to['endpoints'] as readonly Json[] })
  const managers = from.managedFields === undefined ? undefined : (JSON.parse(from.managedFields) as Json)
  const before = { metadata: { managedFields: managers } }
  const managedFields = diffManagers(managers, to.metadata['managedFields'])
  if (endpoints === FULL || managedFields === FULL) return { change: undefined, packed, before }
  const metadata: { [key: string]: Json | undefined } = {
    ...diffParts(from.metadata, packed.metadata),
    ...diffParts(asMember('annotations', from.annotations), asMember('annotations', packed.annotations)),
    ...diffParts(asMember('generation', from.generation), asMember('generation', packed.generation)),
    ...(managedFields === undefined ? {} : { managedFields }),
  }
  const change: { [key: string]: Json | undefined } = { ...diffParts(from.rest, packed.rest) }
  if (endpoints !== undefined) change['endpoints'] = endpoints
  if (Object.keys(metadata).length > 0) change['metadata'] = metadata
  return { change, packed, before }
}

/** The keys of a slice that can be held in parts, which all but odd ones can. */
function endpointKeys(object: KubernetesObject): readonly string[] | undefined {
  const { kind, endpoints, metadata } = object
  if (kind !== 'EndpointSlice' || !Array.isArray(endpoints)) return undefined
  if (!isInColumn(metadata['resourceVersion']) || !hasOnlyParts(metadata)) return undefined
  const keys = keysOf(endpoints, endpointKeyOf)
  // A key with a suffix stands for a place among others of its address.
  return keys === undefined || keys.some((key) => key.includes('#')) ? undefined : keys
}

function packSlice(object: KubernetesObject, from?: PackedSlice): PackedSlice {
  const { addressType, apiVersion, endpoints, kind, metadata, ports } = object
  const { annotations, generation, managedFields, resourceVersion } = metadata
  const before = from?.endpoints ?? []
  const texts = (endpoints as readonly Json[]).map((endpoint, index) => kept(before[index], JSON.stringify(endpoint)))
  return {
    rest: kept(from?.rest, JSON.stringify({ addressType, apiVersion, kind, ports })),
    metadata: kept(from?.metadata, JSON.stringify(pickOthers(metadata))),
    annotations: annotations === undefined ? undefined : kept(from?.annotations, JSON.stringify(annotations)),
    generation: generation === undefined ? undefined : JSON.stringify(generation),
    managedFields: managedFields === undefined ? undefined : kept(from?.managedFields, JSON.stringify(managedFields)),
    resourceVersion: isInColumn(resourceVersion) ? resourceVersion : '',
    endpoints: texts,
  }
}

/** The members of metadata that hardly ever change. */
function pickOthers(metadata: JsonObject): JsonObject {
  const { creationTimestamp, deletionTimestamp, finalizers, generateName, labels } = metadata
  const { name, namespace, ownerReferences, uid } = metadata
  return {
    creationTimestamp,
    deletionTimestamp,
    finalizers,
    generateName,
    labels,
    name,
    namespace,
    ownerReferences,
    uid,
  }
}

const PARTS = new Set(['annotations', 'generation', 'managedFields', 'resourceVersion', ...Object.keys(pickOthers({}))])

/** Whether the parts hold all of it. */
function hasOnlyParts(metadata: JsonObject): boolean {
  for (const key in metadata) if (!PARTS.has(key)) return false
  return true
}

/** The text that is there already, where it is the same: the new one is then gone at the next collection. */
const kept = (before: string | undefined, text: string): string => (before === text ? before : text)

interface KeyedItems {
  readonly keys: readonly string[]
  readonly items: readonly Json[]
}

function diffEndpoints(from: readonly string[], to: readonly string[], { keys, items }: KeyedItems): Json | undefined {
  let patch: { [key: string]: Json } | undefined
  let present: ReadonlySet<string> | undefined
  let next = 0
  for (const text of from) {
    if (text === to[next]) {
      next++
      continue
    }
    const before = JSON.parse(text) as JsonObject
    const key = endpointKeyOf(before) ?? ''
    if (key !== keys[next]) {
      // It stands elsewhere in the list: a merge patch cannot move it.
      if ((present ??= new Set(keys)).has(key)) return FULL
      ;(patch ??= {})[key] = null
      continue
    }
    const change = diffMergePatch(before, items[next] ?? null)
    if (change !== undefined) (patch ??= {})[key] = change
    next++
  }
  for (; next < keys.length; next++) (patch ??= {})[keys[next] ?? ''] = items[next] ?? null
  return patch
}

function diffManagers(from: Json | undefined, to: Json | undefined): Json | undefined {
  if (to === undefined) return from === undefined ? undefined : null
  return diffKeyedList(from, to, managerKeyOf)
}

function diffParts(from: string, to: string): JsonObject {
  if (from === to) return {}
  const change = diffMergePatch(JSON.parse(from) as Json, JSON.parse(to) as Json)
  return isJsonObject(change) ? change : {}
}

const asMember = (name: string, text: string | undefined): string => (text === undefined ? '{}' : `{"${name}":${text}}`)

/**
 * The present version of each object by its id, while a log is read. Those used last are held as objects, the others as
 * text, a fifth of the size.
 */
export interface Versions {
  get(id: number): KubernetesObject | undefined
  set(id: number, object: KubernetesObject): void
  /** A line of a snapshot. */
  setLine(id: number, line: string): void
  delete(id: number): void
}

/** Objects of a generation: two of them take some 40 MB. */
const GENERATION = 4096

export function createVersions(): Versions {
  const lines = new Map<number, string>()
  // Two generations: what was not asked for in one whole generation falls back to text.
  let young = new Map<number, KubernetesObject>()
  let old = new Map<number, KubernetesObject>()

  const put = (id: number, object: KubernetesObject): void => {
    young.set(id, object)
    if (young.size < GENERATION) return
    for (const [oldId, oldObject] of old) {
      if (!young.has(oldId) && !lines.has(oldId)) lines.set(oldId, JSON.stringify(oldObject))
    }
    old = young
    young = new Map()
  }

  const forget = (id: number): void => {
    lines.delete(id)
    old.delete(id)
    young.delete(id)
  }

  const peek = (id: number): KubernetesObject | undefined => {
    const held = young.get(id) ?? old.get(id)
    if (held !== undefined) return held
    const line = lines.get(id)
    return line === undefined ? undefined : fromLine(line, id)
  }

  return {
    get(id) {
      const object = peek(id)
      if (object !== undefined && !young.has(id)) put(id, object)
      return object
    },
    set(id, object) {
      lines.delete(id)
      put(id, object)
    },
    setLine(id, line) {
      forget(id)
      lines.set(id, line)
    },
    delete: forget,
  }
}
