import type { Json, JsonObject } from './kubernetes-object.js'

/**
 * What an object may be, in what is kept of it. etcd takes 1.5 MiB of an object by default, and no field of the API that the
 * proxy reads nests ten levels: no API server stores what is beyond these.
 */
export const OBJECT_BOUNDS = { depth: 100, characters: 4 * 1024 * 1024 } as const

export type Bounds = { readonly [bound in keyof typeof OBJECT_BOUNDS]: number }

/**
 * Why values are not fit to be walked and written: together they are larger than the bounds, or one nests deeper; undefined:
 * they are within. Without recursion, and done as soon as a bound is passed, so that a value which holds itself is refused too.
 */
export function excessOf(values: readonly (Json | undefined)[], bounds: Bounds = OBJECT_BOUNDS): string | undefined {
  let characters = 0
  let level: readonly (Json | undefined)[] = values
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > bounds.depth) return `it nests deeper than ${bounds.depth} levels`
    const next: Json[] = []
    for (const value of level) {
      characters += 1
      if (typeof value === 'string') characters += value.length
      else if (typeof value === 'object' && value !== null) {
        if (!isPlain(value)) return 'it holds what JSON has no form for'
        if (Array.isArray(value)) for (const item of value as readonly Json[]) next.push(item)
        else characters += pushMembers(value as JsonObject, next)
      } else if (typeof value === 'bigint') return 'it holds what JSON has no form for'
      if (characters + next.length > bounds.characters)
        return `it is larger than ${bounds.characters / 1024 / 1024} Mi characters`
    }
    level = next
  }
  return undefined
}

/** The characters of the members' names. */
function pushMembers(value: JsonObject, next: Json[]): number {
  let characters = 0
  for (const key in value) {
    const member = value[key]
    if (member === undefined) continue
    characters += key.length
    next.push(member)
  }
  return characters
}

/** YAML can make a Date, a Map and a Buffer. */
function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * What a log holds, with everything that nests deeper than an object can have been taken in replaced by a word that says so; the
 * value itself where nothing does. Older versions wrote such objects; what the proxy reads of them stands far above that level.
 */
export function cutDeep<Value extends Json>(value: Value): Value {
  const isDeep = excessOf([value], { depth: DEEPEST_STORED, characters: Infinity }) !== undefined
  // A copy to a level of the same value has its type as far as anybody reads it.
  return isDeep ? (copyTo(value, DEEPEST_STORED) as Value) : value
}

/** From the object itself on, where OBJECT_BOUNDS counts from its fields on. */
const DEEPEST_STORED = OBJECT_BOUNDS.depth + 10

function copyTo(value: Json, levels: number): Json {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return 'nested too deep'
  if (Array.isArray(value)) return value.map((item: Json) => copyTo(item, levels - 1))
  const members = Object.entries(value as JsonObject).filter(([key]) => key !== '__proto__')
  return Object.fromEntries(members.map(([key, member]) => [key, copyTo(member ?? null, levels - 1)]))
}

/** The text of a value as JSON has it, piece by piece and without recursion. */
export function* jsonPieces(value: Json): Generator<string> {
  const open: { readonly entries: readonly (readonly [string, Json])[]; readonly end: string; next: number }[] = []
  let current: Json | undefined = value
  for (;;) {
    if (current !== undefined) {
      if (typeof current === 'object' && current !== null) {
        const isList = Array.isArray(current)
        const entries: (readonly [string, Json])[] = isList
          ? (current as readonly Json[]).map((item) => ['', item] as const)
          : Object.entries(current).map(([key, member]) => [`${JSON.stringify(key)}:`, member ?? null] as const)
        yield isList ? '[' : '{'
        open.push({ entries, end: isList ? ']' : '}', next: 0 })
      } else yield JSON.stringify(current)
      current = undefined
    }
    const innermost = open.at(-1)
    if (innermost === undefined) return
    const entry = innermost.entries[innermost.next]
    if (entry === undefined) {
      yield innermost.end
      open.pop()
      continue
    }
    const [before, member] = entry
    yield innermost.next++ === 0 ? before : `,${before}`
    current = member
  }
}
