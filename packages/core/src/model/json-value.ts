import type { Json, JsonObject } from './kubernetes-object.js'

/** Whether a value that was read from JSON is an object: no list, no null. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * For values within OBJECT_BOUNDS: the value with the members of its objects in order of their names and without null members (to the API null is unset).
 * The value itself where it is so already, as most maps are that the API server writes.
 */
export function canonical(value: Json | undefined): Json | undefined {
  if (typeof value !== 'object' || value === null) return value ?? undefined
  if (isCanonical(value)) return value
  if (Array.isArray(value)) return value.map((item: Json) => canonical(item) ?? null)
  return sortMembers(value as JsonObject)
}

/** An object's members in order of their names, each canonical. */
export function sortMembers(value: JsonObject): JsonObject {
  const sorted: { [key: string]: Json } = {}
  for (const key of Object.keys(value).sort()) {
    const member = canonical(value[key])
    // A member of this name would set the prototype; nothing in the API is called so.
    if (member !== undefined && key !== '__proto__') sorted[key] = member
  }
  return sorted
}

/** The same members in order of their names, as they are; the object itself where they are in order. */
export function inOrder(value: JsonObject): JsonObject {
  if (isInOrder(value)) return value
  const sorted: { [key: string]: Json } = {}
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member !== undefined) sorted[key] = member
  }
  return sorted
}

function isInOrder(members: JsonObject): boolean {
  let last = ''
  for (const key in members) {
    if (key < last || members[key] === undefined) return false
    last = key
  }
  return true
}

function isCanonical(value: Json | undefined): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isCanonical)
  let last = ''
  const members = value as JsonObject
  for (const key in members) {
    const member = members[key]
    if (key < last || member == null || key === '__proto__' || !isCanonical(member)) return false
    last = key
  }
  return true
}

/** Whether two values of plain data (no class instances but Map and Set) say the same. An absent key equals `undefined`. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b)
  if (a instanceof Map) return b instanceof Map && sameEntries(a, b)
  if (a instanceof Set) return b instanceof Set && a.size === b.size && [...a].every((item) => b.has(item))
  if (Array.isArray(b) || b instanceof Map || b instanceof Set) return false
  return sameFields(a as Fields, b as Fields)
}

type Fields = Readonly<Record<string, unknown>>

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!isEqual(a[i], b[i])) return false
  return true
}

function sameEntries(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (!b.has(key) || !isEqual(value, b.get(key))) return false
  return true
}

function sameFields(a: Fields, b: Fields): boolean {
  for (const key in a) if (!isEqual(a[key], b[key])) return false
  for (const key in b) if (a[key] === undefined && b[key] !== undefined) return false
  return true
}

/**
 * Applies a JSON merge patch (RFC 7396): members of the patch replace those of the target, null removes one, lists are
 * replaced whole. What the patch does not touch is shared with the target; neither is changed. Members of the result are in
 * order of their names where the target's are.
 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch
  const merged: { [key: string]: Json | undefined } = isJsonObject(target) ? { ...target } : {}
  let keepsMembers = true
  for (const key in patch) {
    const change = patch[key]
    if (change === undefined) continue
    if (change === null || merged[key] === undefined) keepsMembers = false
    merged[key] = change === null ? undefined : isJsonObject(change) ? mergePatch(merged[key], change) : change
  }
  return keepsMembers ? merged : inOrder(merged)
}

/**
 * The smallest merge patch that makes `to` of `from`, or undefined where they are equal. Neither may hold a null member:
 * a merge patch cannot set one.
 */
export function diffMergePatch(from: Json | undefined, to: Json): Json | undefined {
  if (from === to) return undefined
  if (isJsonObject(to)) return isJsonObject(from) ? diffMembers(from, to) : to
  return jsonEqual(from, to) ? undefined : to
}

function diffMembers(from: JsonObject, to: JsonObject): JsonObject | undefined {
  let patch: { [key: string]: Json } | undefined
  for (const key in to) {
    const value = to[key]
    const before = from[key]
    if (value === undefined || value === before) continue
    const change = diffMergePatch(before, value)
    if (change !== undefined) (patch ??= {})[key] = change
  }
  for (const key in from) {
    if (from[key] !== undefined && to[key] === undefined) (patch ??= {})[key] = null
  }
  return patch
}

/**
 * For values within OBJECT_BOUNDS: whether two values cannot be the same one, read by two programs of which each may leave out or add members
 * of objects: a member that both have differs. Lists differ by their length or by an item; a value that is absent contradicts nothing.
 */
export function jsonContradicts(one: Json | undefined, other: Json | undefined): boolean {
  if (one === undefined || other === undefined || one === other) return false
  if (Array.isArray(one) && Array.isArray(other)) {
    const others = other as readonly Json[]
    return one.length !== other.length || one.some((item: Json, index) => jsonContradicts(item, others[index]))
  }
  if (!isJsonObject(one) || !isJsonObject(other)) return true
  return Object.keys(one).some((key) => Object.hasOwn(other, key) && jsonContradicts(one[key], other[key]))
}

/** Whether two JSON values are equal, whatever the order of members. */
export function jsonEqual(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true
  if (Array.isArray(one)) return Array.isArray(other) && listsEqual(one as readonly Json[], other as readonly Json[])
  if (!isJsonObject(one) || !isJsonObject(other)) return false
  return diffMembers(one, other) === undefined
}

const listsEqual = (one: readonly Json[], other: readonly Json[]): boolean =>
  one.length === other.length && one.every((item, index) => jsonEqual(item, other[index]))
