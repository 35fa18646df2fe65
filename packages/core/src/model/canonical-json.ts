import type { Json, JsonObject } from './kubernetes-object.js'

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
