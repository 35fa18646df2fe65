import { diffMergePatch, isJsonObject, mergePatch } from '../../model/json-value.js'
import type { Json, JsonObject } from '../../model/kubernetes-object.js'

/** What distinguishes an item of a list from others; undefined where nothing does. */
export type KeyOf = (item: JsonObject) => string | undefined

/**
 * A list whose items have keys is stored as an object, so that a merge patch can change one item. Items of one key get
 * suffixes. Undefined where the list cannot be stored so: an item without a key, or keys that an object would put into
 * another order.
 */
export function keysOf(list: readonly Json[], keyOf: KeyOf): readonly string[] | undefined {
  const seen = new Set<string>()
  const copies = new Map<string, number>()
  const keys: string[] = []
  for (const item of list) {
    const key = isJsonObject(item) ? keyOf(item) : undefined
    // JavaScript puts whole numbers before other keys, and gives one key a meaning of its own.
    if (key === undefined || key === '__proto__' || /^\d+$/.test(key)) return undefined
    const unique = seen.has(key) ? withSuffix(key, { seen, copies }) : key
    seen.add(unique)
    keys.push(unique)
  }
  return keys
}

/** Copies are counted: a list of 100,000 items of one key would be searched 100,000 times. */
function withSuffix(
  key: string,
  { seen, copies }: { readonly seen: ReadonlySet<string>; readonly copies: Map<string, number> },
): string {
  for (let copy = copies.get(key) ?? 2; ; copy++) {
    if (seen.has(`${key}#${copy}`)) continue
    copies.set(key, copy + 1)
    return `${key}#${copy}`
  }
}

/** The stored form of a field that holds such a list. What is no such list is stored as it is, an object in a wrapping. */
export function storeKeyedList(value: Json, keyOf: KeyOf): Json {
  if (isJsonObject(value)) return { [WRAPPED]: value }
  const keys = Array.isArray(value) ? keysOf(value, keyOf) : undefined
  if (keys === undefined) return value
  return Object.fromEntries(keys.map((key, index) => [key, (value as readonly Json[])[index]]))
}

/** Not the key of any item: addresses and managers do not look like it, and one that did would only be stored in full. */
const WRAPPED = '$value'

/** The field that a stored form holds. */
export function loadKeyedList(stored: Json): Json {
  if (!isJsonObject(stored)) return stored
  return WRAPPED in stored ? (stored[WRAPPED] ?? null) : (Object.values(stored) as Json[])
}

/**
 * The merge patch between the stored forms of two lists, computed on the lists themselves: undefined where they are
 * equal, 'full' where no merge patch can say it (the order of items changed).
 */
export function diffKeyedList(from: Json | undefined, to: Json, keyOf: KeyOf): Json | undefined {
  if (!Array.isArray(from) || !Array.isArray(to)) return diffOther(from, to, keyOf)
  const before = keysOf(from, keyOf)
  const after = keysOf(to, keyOf)
  if (before === undefined || after === undefined) return diffOther(from, to, keyOf)
  return diffKeyed({ keys: before, items: from }, { keys: after, items: to })
}

/** Stands for a change that no merge patch can express. No list's patch is ever a string. */
export const FULL = 'full'

interface KeyedItems {
  readonly keys: readonly string[]
  readonly items: readonly Json[]
}

function diffKeyed(from: KeyedItems, to: KeyedItems): Json | undefined {
  const positions = new Map(from.keys.map((key, index) => [key, index]))
  const patch: { [key: string]: Json } = {}
  let changes = 0
  let last = -1
  let added = false
  for (const [index, key] of to.keys.entries()) {
    const position = positions.get(key)
    const item = to.items[index]
    if (item === undefined) continue
    positions.delete(key)
    // A patch leaves kept items in their order and adds new ones behind them.
    if (position === undefined) added = true
    else if (added || position < last) return FULL
    else last = position
    const change = position === undefined ? item : diffMergePatch(from.items[position], item)
    if (change === undefined) continue
    patch[key] = change
    changes++
  }
  for (const key of positions.keys()) {
    patch[key] = null
    changes++
  }
  return changes === 0 ? undefined : patch
}

function diffOther(from: Json | undefined, to: Json, keyOf: KeyOf): Json | undefined {
  if (from === undefined) return storeKeyedList(to, keyOf)
  return diffMergePatch(from, to) === undefined ? undefined : FULL
}

/** Applies a patch of `diffKeyedList`, to a list instead of its stored form. */
export function patchKeyedList(target: Json | undefined, patch: Json, keyOf: KeyOf): Json {
  const keys = Array.isArray(target) ? keysOf(target, keyOf) : undefined
  if (!isJsonObject(patch) || !Array.isArray(target) || keys === undefined) return loadKeyedList(patch)
  const items: Json[] = []
  const present = new Set(keys)
  for (const [index, key] of keys.entries()) {
    const change = patch[key]
    const item = target[index] as Json
    if (change === undefined) items.push(item)
    else if (change !== null) items.push(mergePatch(item, change))
  }
  for (const key in patch) {
    const item = patch[key]
    if (item != null && !present.has(key)) items.push(item)
  }
  return items
}
