import { inOrder } from './canonical-json.js'
import { isJsonObject } from './is-json-object.js'
import type { Json, JsonObject } from './kubernetes-object.js'

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

/** Whether two JSON values are equal, whatever the order of members. */
export function jsonEqual(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true
  if (Array.isArray(one)) return Array.isArray(other) && listsEqual(one as readonly Json[], other as readonly Json[])
  if (!isJsonObject(one) || !isJsonObject(other)) return false
  return diffMembers(one, other) === undefined
}

const listsEqual = (one: readonly Json[], other: readonly Json[]): boolean =>
  one.length === other.length && one.every((item, index) => jsonEqual(item, other[index]))
