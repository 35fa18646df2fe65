import { isJsonObject, type Json, type JsonObject } from '@pointsman/core'
import { scalarText } from '../table/json.js'
import { RulesetBuilder } from './ruleset-builder.js'
import {
  type Comparison,
  COMPARISONS,
  type Expression,
  type NatKind,
  type NftElement,
  type NftFamily,
  NftListingError,
  type NftRuleset,
  rejection,
  type Statement,
  type VerdictName,
} from './model.js'

/** Reads what `nft -j list ruleset` or `nft -j list table` printed. Throws an NftListingError for what is none. */
export function readJsonListing(text: string): NftRuleset {
  let document: Json
  try {
    document = JSON.parse(text) as Json
  } catch (error) {
    throw new NftListingError(`its JSON cannot be read (${String(error instanceof Error ? error.message : error)})`)
  }
  const items = isJsonObject(document) ? document['nftables'] : undefined
  if (!isList(items)) throw new NftListingError('its JSON has no list "nftables"')
  return rulesetOfJson(items)
}

/** The same of the list alone. */
export function rulesetOfJson(items: readonly Json[]): NftRuleset {
  const builder = new RulesetBuilder()
  for (const item of items) {
    // Commands as `nft -j -f` takes them hold the same.
    const inner = isJsonObject(item) && isJsonObject(item['add']) ? item['add'] : item
    const [entry] = isJsonObject(inner) ? Object.entries(inner) : []
    const [kind, value] = entry ?? []
    if (kind !== undefined && isJsonObject(value)) addItem(builder, kind, value)
  }
  return builder.ruleset()
}

function addItem(builder: RulesetBuilder, kind: string, item: JsonObject): void {
  const family = textAt(item, 'family') as NftFamily
  const name = textAt(item, 'name')
  const comment = commentOf(item)
  if (kind === 'metainfo') return
  if (kind === 'table') {
    // nft 1.0.6 writes the name in place of the flags, of which it knows but two.
    const flags = wordsAt(item['flags']).map((flag) => (flag === name ? 'dormant' : flag))
    builder.table({ family, name, flags, ...comment })
    return
  }
  const table = { family, name: textAt(item, 'table') }
  switch (kind) {
    case 'chain': {
      const { type, hook, prio, policy } = item
      builder.chain(table, {
        name,
        ...comment,
        ...(typeof type === 'string' &&
          typeof hook === 'string' && {
            base: {
              type: type === 'nat' || type === 'route' ? type : ('filter' as const),
              hook,
              priority: Number(prio ?? 0),
              policy: policy === 'drop' ? ('drop' as const) : ('accept' as const),
            },
          }),
      })
      return
    }
    case 'rule': {
      const { expr, handle } = item
      const statements = (isList(expr) ? expr : []).map(statementOf)
      builder.rule(table, textAt(item, 'chain'), {
        statements,
        ...comment,
        ...(typeof handle === 'number' && { handle }),
      })
      return
    }
    case 'set':
    case 'map': {
      const { type, map, flags, timeout, size, elem } = item
      builder.set(table, {
        kind,
        name,
        key: typesOf(type),
        ...(kind === 'map' && { data: typesOf(map) }),
        flags: wordsAt(flags),
        ...(typeof timeout === 'number' && { timeoutSeconds: timeout }),
        ...(typeof size === 'number' && { size }),
        ...comment,
        elements: elementsOf(elem, kind === 'map'),
      })
      return
    }
    case 'element': {
      builder.elements(table, name, elementsOf(item['elem'], true))
      return
    }
    default:
      builder.object(table, { type: kind, name })
  }
}

const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

const textAt = (item: JsonObject, key: string): string => {
  const value = item[key]
  return typeof value === 'string' ? value : ''
}

const commentOf = ({ comment }: JsonObject): { readonly comment?: string } =>
  typeof comment === 'string' ? { comment } : {}

const wordsAt = (value: Json | undefined): readonly string[] =>
  (isList(value) ? value : value === undefined || value === null ? [] : [value]).filter(
    (one) => typeof one === 'string',
  )

/** `["ipv4_addr","inet_service"]`, `"ipv4_addr . inet_service"`. */
const typesOf = (value: Json | undefined): readonly string[] =>
  typeof value === 'string'
    ? value.split(' . ')
    : isList(value)
      ? value.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
      : [JSON.stringify(value ?? null)]

const elementsOf = (value: Json | undefined, isMap: boolean): readonly NftElement[] =>
  (isList(value) ? value : []).map((one) => elementOf(one, isMap))

function elementOf(value: Json, isMap: boolean): NftElement {
  if (isMap && isList(value) && value.length === 2) {
    const [key, data] = value
    return { ...elementOf(key ?? null, false), data: expressionOf(data ?? null) }
  }
  const elem = isJsonObject(value) ? value['elem'] : undefined
  if (!isJsonObject(elem)) return { key: expressionOf(value) }
  const { val, timeout, expires } = elem
  return {
    key: expressionOf(val ?? null),
    ...commentOf(elem),
    ...(typeof timeout === 'number' && { timeoutSeconds: timeout }),
    ...(typeof expires === 'number' && { expiresSeconds: expires }),
  }
}

const VERDICTS: ReadonlySet<string> = new Set(['accept', 'drop', 'continue', 'return', 'jump', 'goto'])

/** What is nested deeper than this, nobody writes. */
const MOST_NESTED = 24

export function expressionOf(value: Json, depth = 0): Expression {
  if (depth > MOST_NESTED) throw new NftListingError('an expression is nested too deep')
  const inner = (one: Json | undefined): Expression => expressionOf(one ?? null, depth + 1)
  if (typeof value === 'number') return { type: 'literal', value }
  if (typeof value === 'boolean') return { type: 'literal', value: value ? 'exists' : 'missing' }
  if (typeof value === 'string') {
    if (value === '*') return { type: 'any' }
    return value.startsWith('@') ? { type: 'reference', name: value.slice(1) } : { type: 'literal', value }
  }
  if (isList(value)) return { type: 'list', items: value.map(inner) }
  const [entry] = isJsonObject(value) ? Object.entries(value) : []
  const unknown: Expression = { type: 'other', text: JSON.stringify(value) }
  if (entry === undefined) return unknown
  const [kind, body] = entry
  if (VERDICTS.has(kind))
    return {
      type: 'verdict',
      verdict: kind as VerdictName,
      ...(isJsonObject(body) && { chain: textAt(body, 'target') }),
    }
  if (isList(body)) {
    switch (kind) {
      case 'concat':
        return { type: 'concat', parts: body.map(inner) }
      case 'set':
        return { type: 'set', elements: body.map((one) => nestedElement(one, depth)) }
      case 'range':
        return { type: 'range', low: inner(body[0]), high: inner(body[1]) }
      case '&':
      case '|':
      case '^':
      case '<<':
      case '>>': {
        const [first, ...rest] = body.map(inner)
        return rest.reduce<Expression>(
          (left, right) => ({ type: 'binary', operator: kind, left, right }),
          first ?? unknown,
        )
      }
      default:
        return unknown
    }
  }
  if (kind === 'set') return { type: 'set', elements: [nestedElement(body ?? null, depth)] }
  if (!isJsonObject(body)) return unknown
  switch (kind) {
    case 'prefix':
      return { type: 'prefix', address: textAt(body, 'addr'), length: Number(body['len']) }
    case 'elem':
      return inner(body['val'])
    case 'payload':
      return typeof body['protocol'] === 'string'
        ? { type: 'field', header: body['protocol'], name: textAt(body, 'field') }
        : { type: 'other', text: `@${[body['base'], body['offset'], body['len']].map(String).join(',')}` }
    case 'meta':
      return { type: 'meta', key: textAt(body, 'key') }
    case 'ct': {
      const { dir } = body
      // `ip daddr` has its family with it.
      const [, family, key] = /^(?:(ip6?) )?(.*)$/.exec(textAt(body, 'key')) ?? []
      return {
        type: 'ct',
        key: key ?? '',
        ...(typeof dir === 'string' && { direction: dir }),
        ...(family !== undefined && { family }),
      }
    }
    case 'fib':
      return { type: 'fib', flags: wordsAt(body['flags']), result: textAt(body, 'result') }
    case 'numgen':
      return {
        type: 'numgen',
        mode: textAt(body, 'mode'),
        mod: Number(body['mod']),
        offset: Number(body['offset'] ?? 0),
      }
    case 'jhash':
    case 'symhash': {
      const { expr, mod, offset, seed } = body
      return {
        type: 'hash',
        ...(kind === 'jhash' && { of: inner(expr) }),
        mod: Number(mod),
        offset: Number(offset ?? 0),
        ...(typeof seed === 'number' && { seed }),
      }
    }
    case 'map':
      return { type: 'map', key: inner(body['key']), map: inner(body['data']) }
    case 'exthdr':
    case 'tcp option':
    case 'socket':
    case 'rt': {
      const words = [kind, body['name'] ?? body['key'], body['field']].filter((word) => typeof word === 'string')
      return { type: 'other', text: words.join(' ') }
    }
    default:
      return unknown
  }
}

function nestedElement(value: Json, depth: number): NftElement {
  if (isList(value) && value.length === 2) {
    const [key, data] = value
    return { ...nestedElement(key ?? null, depth + 1), data: expressionOf(data ?? null, depth + 1) }
  }
  const elem = isJsonObject(value) ? value['elem'] : undefined
  if (isJsonObject(elem)) return elementOf(value, false)
  return { key: expressionOf(value, depth + 1) }
}

/** A statement as `nft -j` lists it, and as layouts write it. */
export function statementOf(value: Json): Statement {
  const other: Statement = { type: 'other', text: JSON.stringify(value) }
  const [entry] = isJsonObject(value) ? Object.entries(value) : []
  if (typeof value === 'string') return VERDICTS.has(value) ? { type: 'verdict', verdict: value as VerdictName } : other
  if (entry === undefined) return other
  const [kind, body] = entry
  if (VERDICTS.has(kind))
    return {
      type: 'verdict',
      verdict: kind as VerdictName,
      ...(isJsonObject(body) && { chain: textAt(body, 'target') }),
    }
  const object = isJsonObject(body) ? body : {}
  switch (kind) {
    case 'match': {
      const left = expressionOf(object['left'] ?? null)
      const right = expressionOf(object['right'] ?? null)
      const op = textAt(object, 'op')
      if (op !== '' && !COMPARISONS.has(op)) return other
      return { type: 'match', left, operator: op === '' ? '==' : (op as Comparison), right }
    }
    case 'vmap':
      return { type: 'vmap', key: expressionOf(object['key'] ?? null), map: expressionOf(object['data'] ?? null) }
    case 'mangle':
      return { type: 'assign', to: expressionOf(object['key'] ?? null), value: expressionOf(object['value'] ?? null) }
    case 'counter': {
      if (typeof body === 'string') return { type: 'counter', name: body }
      const { packets, bytes } = object
      return typeof packets === 'number'
        ? { type: 'counter', packets, ...(typeof bytes === 'number' && { bytes }) }
        : { type: 'counter' }
    }
    case 'dnat':
    case 'snat':
    case 'masquerade':
    case 'redirect':
      return natOf(kind, object)
    case 'reject': {
      const words = [object['type'], object['expr']].filter((word) => typeof word === 'string')
      return rejection(words.join(' '))
    }
    case 'set':
    case 'map':
      return updateOf(kind, object)
    case 'queue': {
      const { num, flags } = object
      const range = isJsonObject(num) && isList(num['range']) ? num['range'].map(String).join('-') : undefined
      return { type: 'queue', queue: range ?? String(typeof num === 'number' ? num : 0), flags: wordsAt(flags) }
    }
    case 'notrack':
      return { type: 'notrack' }
    case 'limit':
      return { type: 'limit', text: typeof body === 'string' ? `name "${body}"` : limitText(object) }
    case 'quota': {
      const { inv, val, val_unit: unit } = object
      const text =
        typeof body === 'string'
          ? `quota name "${body}"`
          : `quota ${inv === true ? 'over ' : ''}${scalarText(val)} ${scalarText(unit)}`
      return { type: 'opaque', text }
    }
    case 'ct count':
      return { type: 'opaque', text: `ct count ${object['inv'] === true ? 'over ' : ''}${scalarText(object['val'])}` }
    case 'ct helper':
    case 'ct timeout':
    case 'ct expectation':
      return { type: 'aside', text: `${kind} set "${scalarText(body)}"` }
    case 'log':
      return { type: 'aside', text: logText(object) }
    case 'xt':
      return { type: 'xt', name: textAt(object, 'name') }
    case 'tproxy': {
      const { family, addr, port } = object
      const to = `${typeof addr === 'string' ? addr : ''}${port === undefined ? '' : `:${scalarText(port)}`}`
      return { type: 'other', text: ['tproxy', ...(typeof family === 'string' ? [family] : []), 'to', to].join(' ') }
    }
    default:
      return other
  }
}

function natOf(kind: NatKind, { family, addr, port, flags }: JsonObject): Statement {
  return {
    type: 'nat',
    kind,
    ...(typeof family === 'string' && { family }),
    ...(addr !== undefined && { address: expressionOf(addr) }),
    ...(port !== undefined && { port: expressionOf(port) }),
    flags: wordsAt(flags),
  }
}

function updateOf(kind: 'set' | 'map', { op, elem, set, map, data, stmt }: JsonObject): Statement {
  const name = kind === 'set' ? set : map
  const element = elementOf(elem ?? null, false)
  const value = data === undefined ? {} : { data: expressionOf(data) }
  return {
    type: 'update',
    operation: op === 'add' || op === 'delete' ? op : 'update',
    set: (typeof name === 'string' ? name : '').replace(/^@/, ''),
    element: { ...element, ...value },
    statements: (isList(stmt) ? stmt : []).map(statementOf),
  }
}

/** `rate over 10/second`, `rate 10 kbytes/second burst 1 mbytes`. */
function limitText({ rate, per, burst, inv, rate_unit: unit = 'packets', burst_unit: burstUnit }: JsonObject): string {
  const over = inv === true ? 'over ' : ''
  const isPackets = unit === 'packets'
  const usual = isPackets ? 5 : 0
  const amount = isPackets
    ? `${scalarText(rate)}/${scalarText(per ?? 'second')}`
    : `${scalarText(rate)} ${scalarText(unit)}/${scalarText(per ?? 'second')}`
  const more =
    burst === undefined || burst === usual ? '' : ` burst ${scalarText(burst)} ${scalarText(burstUnit ?? unit)}`
  return `rate ${over}${amount}${more}`
}

function logText({ prefix, group, snaplen, level, flags, 'queue-threshold': threshold }: JsonObject): string {
  const words = ['log']
  if (typeof prefix === 'string') words.push('prefix', `"${prefix}"`)
  if (typeof group === 'number') words.push('group', String(group))
  if (typeof snaplen === 'number') words.push('snaplen', String(snaplen))
  if (typeof threshold === 'number') words.push('queue-threshold', String(threshold))
  if (typeof level === 'string') words.push('level', level)
  const asked = wordsAt(flags)
  if (asked.length > 0) words.push('flags', asked.join(','))
  return words.join(' ')
}
