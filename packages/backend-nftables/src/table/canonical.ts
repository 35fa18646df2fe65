import { isJsonObject, parseAddress, parseCidr, type IpAddress, type Json } from '@pointsman/core'
import { addressText, listOf, scalarText } from './json.js'
import { keyText, type Chain, type Element, type Rule, type SetDeclaration, type Statement } from './table.js'

/*
 * Texts that are equal where two objects of a table mean the same, however the version of nft that listed one of them spells it.
 * Counters do not count, nor which number an endpoint has among those that `numgen random` picks from.
 */

export const ruleIdentity = ({ statements, comment }: Rule): string =>
  JSON.stringify([statements.map(canonicalStatement), comment ?? ''])

/** The same without the comment. */
export const bareRuleIdentity = ({ statements }: Rule): string => JSON.stringify(statements.map(canonicalStatement))

/** What an element's key is mapped to, with its comment. */
export const elementValue = ({ verdict, data, comment }: Element): string =>
  JSON.stringify([verdict === undefined ? (data ?? '') : canonical(verdict), comment ?? ''])

export const elementIdentity = (element: Element): string => `${keyText(element)} : ${elementValue(element)}`

/** Flag `dynamic` and the size are what nft fills in for a set that packets put elements into. */
export const setIdentity = ({ kind, key, data, timeoutSeconds, comment }: SetDeclaration): string =>
  JSON.stringify([kind, key, data ?? '', timeoutSeconds ?? 0, comment ?? ''])

/** Of the chain itself, whatever its rules. */
export const hookIdentity = ({ hook }: Pick<Chain, 'hook'>): string =>
  hook === undefined ? '' : `${hook.type} ${hook.hook} ${hook.priority}`

function canonicalStatement(statement: Statement): Json {
  const [name = ''] = Object.keys(statement)
  const value = statement[name] ?? null
  switch (name) {
    case 'counter':
      return { counter: null }
    case 'reject':
      return { reject: isDefaultReject(value) ? null : canonical(value) }
    case 'dnat':
    case 'snat':
    case 'masquerade':
      return { [name]: canonicalNat(value) }
    case 'match':
      return canonical({ match: withMask(value) })
    default:
      return canonical(statement)
  }
}

/** nft lists a mask of the highest bits of a mark as a prefix: `meta mark != 0x00000000/1`. */
function withMask(value: Json): Json {
  if (!isJsonObject(value) || !isJsonObject(value['right'])) return value
  const { prefix } = value['right']
  if (!isJsonObject(prefix)) return value
  const { addr, len } = prefix
  if (typeof addr !== 'number' || typeof len !== 'number') return value
  return { ...value, left: { '&': [value['left'] ?? null, 2 ** 32 - 2 ** (32 - len)] }, right: addr }
}

/** Of `reject` alone, nft lists what it stands for in the family. */
const isDefaultReject = (value: Json): boolean =>
  !isJsonObject(value) || Object.keys(value).length === 0 || value['expr'] === 'port-unreachable'

/** The family is the table's. */
function canonicalNat(value: Json): Json {
  if (!isJsonObject(value)) return null
  const { family: _, flags = [], ...rest } = value
  return canonical({ ...rest, flags: (listOf(flags) ?? [flags]).map(scalarText).toSorted() })
}

function canonical(value: Json): Json {
  const list = listOf(value)
  if (list !== undefined) return list.map(canonical)
  if (typeof value === 'string') return addressText(value)
  if (!isJsonObject(value)) return value
  const { key, data, set, prefix } = value
  if (isNumgen(key) && isJsonObject(data)) {
    const targets = (listOf(data['set']) ?? []).map((member) =>
      JSON.stringify(canonical(listOf(member)?.[1] ?? member)),
    )
    return { key: canonical(key ?? null), data: targets.toSorted() }
  }
  const members = listOf(set)
  if (members !== undefined) return { set: canonicalMembers(members) }
  if (isJsonObject(prefix)) {
    const { addr, len } = prefix
    const isHost = typeof addr === 'string' && len === (addr.includes(':') ? 128 : 32)
    return isHost ? addr : { prefix: { addr: addr ?? null, len: len ?? null } }
  }
  const sorted: Record<string, Json> = {}
  for (const name of Object.keys(value).sort()) sorted[name] = canonical(value[name] ?? null)
  return sorted
}

const isNumgen = (key: Json | undefined): boolean => isJsonObject(key) && key['numgen'] !== undefined

/** nft joins neighbouring and overlapping ranges of an anonymous set. */
function canonicalMembers(members: readonly Json[]): readonly Json[] {
  const ranges = members.map(rangeOf)
  if (!ranges.every((range) => range !== undefined))
    return members.map((member) => JSON.stringify(canonical(member))).toSorted()
  const joined: { first: bigint; last: bigint }[] = []
  for (const { first, last } of ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = joined.at(-1)
    if (before === undefined || first > before.last + 1n) joined.push({ first, last })
    else if (last > before.last) before.last = last
  }
  return joined.map(({ first, last }) => `${first}-${last}`)
}

interface AddressRange {
  readonly first: bigint
  readonly last: bigint
}

function rangeOf(member: Json): AddressRange | undefined {
  if (typeof member === 'string') return rangeOfText(member)
  if (!isJsonObject(member)) return undefined
  const { prefix, range } = member
  if (isJsonObject(prefix)) return rangeOfText(`${scalarText(prefix['addr'])}/${scalarText(prefix['len'])}`)
  const [first, last] = (listOf(range) ?? []).map((end) => rangeOfText(scalarText(end)))
  return first && last && { first: first.first, last: last.last }
}

function rangeOfText(text: string): AddressRange | undefined {
  const cidr = parseCidr(text)
  if (cidr !== undefined) {
    const first = cidr.groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
    return { first, last: first + (1n << BigInt(cidr.groups.length * 16 - cidr.prefix)) - 1n }
  }
  const address = parseAddress(text)
  return address && rangeOfText(`${address.text}/${bitsOf(address)}`)
}

const bitsOf = ({ family }: IpAddress): number => (family === 'IPv4' ? 32 : 128)
