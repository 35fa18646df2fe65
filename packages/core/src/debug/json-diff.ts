import { isEqual } from '../model/is-equal.js'
import { isJsonObject } from '../model/is-json-object.js'
import type { Json } from '../model/kubernetes-object.js'

/** One place where two documents differ. `before` is absent where it was added, `after` where it was removed. */
export interface JsonChange {
  /** `spec.ports[http].targetPort`: list items by their name, key, type or address, where each of the list has one. */
  readonly path: string
  readonly before?: Json
  readonly after?: Json
}

/**
 * Where two values differ, in the order of the fields. Lists of plain values, and lists whose items have nothing to be
 * told apart by, are one place; so is every path for which `isWhole` answers yes.
 */
export function jsonDiff(
  { before, after }: { readonly before: Json | undefined; readonly after: Json | undefined },
  isWhole: (path: string) => boolean = () => false,
): readonly JsonChange[] {
  const changes: JsonChange[] = []
  compare(before, after, '')
  return changes

  function compare(old: Json | undefined, now: Json | undefined, path: string): void {
    if (isEqual(old, now)) return
    const fields = path !== '' && isWhole(path) ? undefined : comparableFields(old, now)
    if (fields === undefined) {
      changes.push({
        path,
        ...(old === undefined ? {} : { before: old }),
        ...(now === undefined ? {} : { after: now }),
      })
      return
    }
    for (const key of new Set([...fields.before.keys(), ...fields.after.keys()])) {
      compare(fields.before.get(key), fields.after.get(key), fields.join(path, key))
    }
  }
}

interface ComparableFields {
  readonly before: ReadonlyMap<string, Json | undefined>
  readonly after: ReadonlyMap<string, Json | undefined>
  readonly join: (path: string, key: string) => string
}

function comparableFields(before: Json | undefined, after: Json | undefined): ComparableFields | undefined {
  if (isJsonObject(before) && isJsonObject(after)) {
    const join = (path: string, key: string): string =>
      /^[\w-]+$/.test(key) ? (path === '' ? key : `${path}.${key}`) : `${path}[${key}]`
    return { before: new Map(Object.entries(before)), after: new Map(Object.entries(after)), join }
  }
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined
  const items = { before: itemsByName(before), after: itemsByName(after) }
  if (items.before === undefined || items.after === undefined) return undefined
  return { before: items.before, after: items.after, join: (path, key) => `${path}[${key}]` }
}

const NAMING_FIELDS = ['name', 'key', 'type', 'ip', 'hostname']

function itemsByName(list: readonly Json[]): ReadonlyMap<string, Json> | undefined {
  for (const field of NAMING_FIELDS) {
    const byName = new Map<string, Json>()
    for (const item of list) {
      const name = isJsonObject(item) ? item[field] : undefined
      if (typeof name === 'string') byName.set(name, item)
    }
    if (byName.size === list.length) return byName
  }
  return undefined
}
