import { isJsonObject, type Json, type JsonObject } from '@pointsman/core'
import { listOf, scalarText } from './json.js'
import {
  keyText,
  type Chain,
  type Element,
  type Rule,
  type SetDeclaration,
  type Statement,
  type TableName,
} from './table.js'

/*
 * A table in the language of nft(8): lines that `nft -f` loads. Rules and elements are spelt as `nft list` spells them. A statement
 * that no layout writes, as another program's rules may have, is given as its JSON.
 */

export const addTable = (table: TableName, comment: string): string =>
  `add table ${path(table)} { comment ${quoted(comment)} ; }`

export const addChain = (table: TableName, { name, hook, comment }: Omit<Chain, 'rules'>): string => {
  const properties = [
    ...(hook === undefined ? [] : [`type ${hook.type} hook ${hook.hook} priority ${hook.priority} ;`]),
    ...(comment === undefined ? [] : [`comment ${quoted(comment)} ;`]),
  ]
  return `add chain ${path(table)} ${name}${properties.length === 0 ? '' : ` { ${properties.join(' ')} }`}`
}

export const addSet = (table: TableName, set: SetDeclaration): string => {
  const { name, kind, key, data, timeoutSeconds, comment } = set
  const types = data === undefined ? undefined : [key.map(TYPEOF), data.map(TYPEOF)].map((each) => each.join(' . '))
  const properties = [
    types === undefined
      ? `type ${key.join(' . ')}${kind === 'map' ? ' : verdict' : ''} ;`
      : `typeof ${types.join(' : ')} ;`,
    ...(timeoutSeconds === undefined ? [] : [`flags dynamic,timeout ; timeout ${timeoutSeconds}s ;`]),
    ...(comment === undefined ? [] : [`comment ${quoted(comment)} ;`]),
  ]
  return `add ${kind} ${path(table)} ${name} { ${properties.join(' ')} }`
}

/** A number has a type in expressions alone, and so all of the map is declared by expressions of its types. */
const TYPEOF = (type: string): string => EXPRESSIONS[type] ?? type

const EXPRESSIONS: Readonly<Record<string, string>> = {
  ipv4_addr: 'ip daddr',
  ipv6_addr: 'ip6 daddr',
  inet_proto: 'meta l4proto',
  inet_service: 'th dport',
  integer: 'numgen random mod 2',
}

export const addRule = (table: TableName, chain: string, rule: Rule): string =>
  `add rule ${path(table)} ${chain} ${ruleText(rule)}`

/** Ahead of all rules of the chain. */
export const insertRule = (table: TableName, chain: string, rule: string): string =>
  `insert rule ${path(table)} ${chain} ${rule}`

export const deleteRule = (table: TableName, chain: string, handle: bigint): string =>
  `delete rule ${path(table)} ${chain} handle ${handle}`

export const addElement = (table: TableName, element: Element): string =>
  `add element ${path(table)} ${element.set} { ${elementText(element)} }`

export const deleteElement = (table: TableName, element: Element): string =>
  `delete element ${path(table)} ${element.set} { ${keyText(element)} }`

/** `flush chain`, `delete map`. */
export const changeOf = (
  table: TableName,
  {
    verb,
    kind,
    name,
  }: { readonly verb: 'flush' | 'delete'; readonly kind: 'chain' | 'set' | 'map'; readonly name: string },
): string => `${verb} ${kind} ${path(table)} ${name}`

export const deleteTable = (table: TableName): string => `delete table ${path(table)}`

const path = ({ family, name }: TableName): string => `${family} ${name}`

/** `10.96.0.1 . tcp . 443 comment "default/kubernetes:https" : goto reject-chain`. */
export function elementText(element: Element): string {
  const { verdict, data, comment } = element
  return [
    keyText(element),
    ...(comment === undefined ? [] : [`comment ${quoted(comment)}`]),
    ...(verdict === undefined ? [] : [`: ${statementText(verdict)}`]),
    ...(data === undefined ? [] : [`: ${data.join(' . ')}`]),
  ].join(' ')
}

/** `ip daddr @cluster-ips reject comment "..."`. */
export const ruleText = ({ statements, comment }: Rule): string =>
  [...statements.map(statementText), ...(comment === undefined ? [] : [`comment ${quoted(comment)}`])].join(' ')

/** nft knows no way to write a quotation mark within quotation marks. */
const quoted = (text: string): string => `"${text.replaceAll('"', "'")}"`

export function statementText(statement: Statement): string {
  const [name = ''] = Object.keys(statement)
  const value = statement[name] ?? null
  const known = isJsonObject(value) ? STATEMENTS[name]?.(value) : VERDICTS.has(name) ? name : undefined
  return known ?? JSON.stringify(statement)
}

const VERDICTS: ReadonlySet<string> = new Set([
  'accept',
  'drop',
  'return',
  'continue',
  'reject',
  'masquerade',
  'counter',
])

/** By the statement's name; undefined: this form of it is in no layout. */
const STATEMENTS: Readonly<Record<string, (value: JsonObject) => string | undefined>> = {
  match({ op, left, right }) {
    const negation = op === '==' || op === 'in' ? '' : ` ${scalarText(op)}`
    const asked = expression(left)
    const wanted = isMark(left) ? hex(right) : isName(left) ? quoted(scalarText(right)) : expression(right)
    return made([asked, wanted], (from, to) => `${from}${negation} ${to}`)
  },
  vmap({ key, data }) {
    return made([expression(key), mapText(data)], (asked, verdicts) => `${asked} vmap ${verdicts}`)
  },
  mangle({ key, value }) {
    return made([expression(key), expression(value)], (changed, wanted) => `${changed} set ${wanted}`)
  },
  jump: ({ target }) => `jump ${scalarText(target)}`,
  goto: ({ target }) => `goto ${scalarText(target)}`,
  counter: () => 'counter',
  reject: ({ expr }) => (expr === 'port-unreachable' ? 'reject' : undefined),
  masquerade: ({ flags }) => ['masquerade', ...flagTexts(flags)].join(' '),
  dnat({ family, addr, port, flags = [] }) {
    return made([expression(addr)], (to = '') => {
      const address = port === undefined ? to : `${to.includes(':') ? `[${to}]` : to}:${scalarText(port)}`
      return ['dnat', ...(typeof family === 'string' ? [family] : []), 'to', address, ...flagTexts(flags)].join(' ')
    })
  },
  set({ op, elem, set }) {
    return made([expression(elem)], (put) => `${scalarText(op)} ${scalarText(set)} { ${put} }`)
  },
}

/** Undefined where one of the texts is. */
function made(
  texts: readonly (string | undefined)[],
  make: (...texts: readonly string[]) => string,
): string | undefined {
  return texts.every((text) => text !== undefined) ? make(...texts) : undefined
}

const flagTexts = (flags: Json | undefined): readonly string[] =>
  listOf(flags)?.map(scalarText) ?? (typeof flags === 'string' ? [flags] : [])

/** Undefined: an expression that no layout writes. */
function expression(value: Json | undefined): string | undefined {
  if (typeof value === 'string' || typeof value === 'number') return scalarText(value)
  if (!isJsonObject(value)) return undefined
  const [name = ''] = Object.keys(value)
  const inner = value[name]
  const list = listOf(inner)
  if (list !== undefined) return listExpression(name, list)
  if (!isJsonObject(inner)) return undefined
  switch (name) {
    case 'payload':
      return `${scalarText(inner['protocol'])} ${scalarText(inner['field'])}`
    case 'meta':
      return inner['key'] === 'mark' || inner['key'] === 'l4proto' ? `meta ${inner['key']}` : scalarText(inner['key'])
    case 'ct':
      return `ct ${scalarText(inner['key'])}`
    case 'fib':
      return `fib ${flagTexts(inner['flags']).join(' . ')} ${scalarText(inner['result'])}`
    case 'prefix':
      return `${scalarText(inner['addr'])}/${scalarText(inner['len'])}`
    case 'numgen':
      return [
        `numgen ${scalarText(inner['mode'])} mod ${scalarText(inner['mod'])}`,
        ...(typeof inner['offset'] === 'number' && inner['offset'] > 0 ? [`offset ${inner['offset']}`] : []),
      ].join(' ')
    case 'map': {
      return made([expression(inner['key']), mapText(inner['data'])], (key, data) => `${key} map ${data}`)
    }
    default:
      return undefined
  }
}

function listExpression(name: string, values: readonly Json[]): string | undefined {
  const [left, right] = values
  // Marks are written in hexadecimal.
  if ((name === '|' || name === '^' || name === '&') && isMark(left)) return `${expression(left)} ${name} ${hex(right)}`
  const texts = values.map(expression)
  if (name === 'concat') return made(texts, (...parts) => parts.join(' . '))
  if (name === 'set') return made(texts, (...parts) => `{ ${parts.join(', ')} }`)
  return name === 'range' ? made(texts, (...ends) => ends.join('-')) : undefined
}

/** `@service-ips`, or `{ 0 : goto a, 1 : goto b }`. */
function mapText(data: Json | undefined): string | undefined {
  if (typeof data === 'string') return data
  const members = isJsonObject(data) ? data['set'] : undefined
  const texts = listOf(members)?.map((member) => {
    const [key, target] = listOf(member) ?? []
    const to = expression(target) ?? (isJsonObject(target) ? statementText(target) : undefined)
    return made([expression(key), to], (from, verdict) => `${from} : ${verdict}`)
  })
  return texts && made(texts, (...pairs) => `{ ${pairs.join(', ')} }`)
}

const isMark = (value: Json | undefined): boolean =>
  isJsonObject(value) &&
  ((isJsonObject(value['meta']) && value['meta']['key'] === 'mark') || isMark(listOf(value['&'])?.[0]))

const isName = (value: Json | undefined): boolean =>
  isJsonObject(value) &&
  isJsonObject(value['meta']) &&
  (value['meta']['key'] === 'iifname' || value['meta']['key'] === 'oifname')

const hex = (value: Json | undefined): string =>
  typeof value === 'number' ? `0x${value.toString(16).padStart(8, '0')}` : scalarText(value)
