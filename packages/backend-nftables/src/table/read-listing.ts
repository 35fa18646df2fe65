import { isJsonObject, type Json, type JsonObject } from '@pointsman/core'
import { addressText, listOf, scalarText } from './json.js'
import type { Chain, Element, Hook, Rule, SetContents, SetDeclaration, Statement, Table, TableName } from './table.js'
import { keyText } from './table.js'

/** A text that is no listing of nft. Its message says why. */
export class ListingError extends Error {
  override readonly name = 'ListingError'
}

/** The objects that `nft -j list` prints, each as `{ chain: { ... } }`. ListingError for what is none. */
export function listedObjects(text: string): readonly JsonObject[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new ListingError('it is no JSON: give the output of `nft -j list ruleset`', { cause: error })
  }
  const objects = isJsonObject(parsed) ? listOf(parsed['nftables']) : undefined
  if (objects === undefined)
    throw new ListingError('it has no list `nftables`: give the output of `nft -j list ruleset`')
  return objects.filter(isJsonObject)
}

/** The tables that a listing has. */
export function listedTables(objects: readonly JsonObject[]): readonly TableName[] {
  return objects.flatMap(({ table }) => {
    if (!isJsonObject(table)) return []
    const { family, name } = table
    return (family === 'ip' || family === 'ip6') && typeof name === 'string' ? [{ family, name }] : []
  })
}

/** One table of a listing; undefined: it has none of this name. Objects of kinds that no proxy makes (flow tables, counters) are left out. */
export function readTable(objects: readonly JsonObject[], wanted: TableName): Table | undefined {
  const chains = new Map<string, { -readonly [K in keyof Chain]: Chain[K] } & { readonly rules: Rule[] }>()
  const sets = new Map<string, SetContents>()
  let isThere = false
  for (const object of objects) {
    const [kind = ''] = Object.keys(object)
    const value = object[kind]
    if (!isJsonObject(value) || value['family'] !== wanted.family) continue
    if ((kind === 'table' ? value['name'] : value['table']) !== wanted.name) continue
    const name = scalarText(value['name'])
    if (kind === 'table') isThere = true
    else if (kind === 'chain') chains.set(name, { ...chainOf(name, value), rules: chains.get(name)?.rules ?? [] })
    else if (kind === 'rule') chains.get(scalarText(value['chain']))?.rules.push(ruleOf(value))
    else if (kind === 'set' || kind === 'map') sets.set(name, setOf(kind, value))
  }
  return isThere ? { chains, sets } : undefined
}

function chainOf(name: string, { type, hook, prio }: JsonObject): Omit<Chain, 'rules'> {
  if (typeof hook !== 'string') return { name }
  return { name, hook: { type, hook, priority: Number(prio) } as Hook }
}

const ruleOf = ({ expr, comment }: JsonObject): Rule => {
  const statements = (listOf(expr) ?? []).filter((each): each is Statement => isJsonObject(each))
  return typeof comment === 'string' ? { statements, comment } : { statements }
}

function setOf(kind: 'set' | 'map', value: JsonObject): SetContents {
  const { type, map, timeout, flags, comment, elem } = value
  const declaration: SetDeclaration = {
    kind,
    name: scalarText(value['name']),
    key: (listOf(type) ?? [type ?? '']).map(scalarText),
    ...(typeof map === 'string' && map !== 'verdict' && { data: map.split(' . ') }),
    ...(typeof timeout === 'number' && { timeoutSeconds: timeout }),
    ...(typeof comment === 'string' && { comment }),
  }
  // Elements that packets add to a set, and those that expire, are not compared.
  const isDynamic = (listOf(flags) ?? [flags]).some((flag) => flag === 'timeout' || flag === 'dynamic')
  const elements = isDynamic ? [] : (listOf(elem) ?? []).map((each) => elementOf(declaration, each))
  return { declaration, elements: new Map(elements.map((element) => [keyText(element), element])) }
}

function elementOf({ name, kind, data }: SetDeclaration, member: Json): Element {
  const [given = '', value] = kind === 'map' ? (listOf(member) ?? []) : [member]
  const { val, comment } = isJsonObject(given) && isJsonObject(given['elem']) ? given['elem'] : { val: given }
  return {
    set: name,
    key: partsOf(val ?? ''),
    ...(data === undefined ? isJsonObject(value) && { verdict: value } : { data: partsOf(value ?? '') }),
    ...(typeof comment === 'string' && { comment }),
  }
}

function partsOf(value: Json): Element['key'] {
  const parts = isJsonObject(value) ? listOf(value['concat']) : undefined
  return (parts ?? [value]).map((part) => (typeof part === 'number' ? part : addressText(scalarText(part))))
}
