import { isJsonObject, type JsonObject } from '@pointsman/core'
import { listOf } from './json.js'

/*
 * One table of nftables as plain data: chains with their rules, sets and maps with their elements. What a rule does is written
 * as libnftables-json(5) has it, which is how `nft -j` lists it. Nothing here knows which chains a proxy has.
 */

/** A statement of a rule, or the verdict of a map's element: `{ goto: { target: 'reject-chain' } }`. */
export type Statement = JsonObject

export interface Rule {
  readonly statements: readonly Statement[]
  readonly comment?: string | undefined
}

/** Where the kernel calls a base chain. */
export interface Hook {
  readonly type: 'filter' | 'nat'
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'
  readonly priority: number
}

export interface Chain {
  readonly name: string
  /** Absent: a chain that others jump to. */
  readonly hook?: Hook | undefined
  /** nft does not list it in JSON, so that it is written and never compared. */
  readonly comment?: string | undefined
  readonly rules: readonly Rule[]
}

/** A set, or a map. */
export interface SetDeclaration {
  readonly name: string
  readonly kind: 'set' | 'map'
  /** Types of the parts of a key: `['ipv4_addr', 'inet_proto', 'inet_service']`. */
  readonly key: readonly string[]
  /** Types of the parts of what a map holds. Absent: verdicts. */
  readonly data?: readonly string[] | undefined
  /** Elements are put in by packets, and go after so many seconds. Absent: they stay. */
  readonly timeoutSeconds?: number | undefined
  readonly comment?: string | undefined
}

export interface Element {
  readonly set: string
  /** One value a part: addresses, protocols in small letters, ports as numbers. */
  readonly key: readonly (string | number)[]
  /** Of an element of a map to verdicts. */
  readonly verdict?: Statement | undefined
  /** Of an element of any other map: one value a part. */
  readonly data?: Element['key'] | undefined
  readonly comment?: string | undefined
  /**
   * What it is a part of: of all owners that have elements of one claim, the first one's are in the table and no others. Absent:
   * each key of a set is a claim of its own.
   */
  readonly claim?: string | undefined
}

/** What one owner has in a table. */
export interface TableParts {
  readonly sets: readonly SetDeclaration[]
  readonly chains: readonly Chain[]
  readonly elements: readonly Element[]
}

export const NO_PARTS: TableParts = { sets: [], chains: [], elements: [] }

/** Names a table for nft: `ip kube-proxy`. */
export interface TableName {
  readonly family: 'ip' | 'ip6'
  readonly name: string
}

/** A set with its elements by `keyText`. */
export interface SetContents {
  readonly declaration: SetDeclaration
  readonly elements: ReadonlyMap<string, Element>
}

/** A whole table. Its comment is not part of it: nft does not list it in JSON. */
export interface Table {
  readonly chains: ReadonlyMap<string, Chain>
  readonly sets: ReadonlyMap<string, SetContents>
}

export const EMPTY_TABLE: Table = { chains: new Map(), sets: new Map() }

/** How many rules and elements a table has. */
export function sizeOfTable({ chains, sets }: Table): number {
  const rules = [...chains.values()].reduce((sum, chain) => sum + chain.rules.length, 0)
  return [...sets.values()].reduce((sum, { elements }) => sum + elements.size, rules)
}

/** The parts of several owners as one table. Where two have elements of one claim, the first one's are taken. */
export function tableOf(parts: Iterable<TableParts>): Table {
  const chains = new Map<string, Chain>()
  const sets = new Map<string, { declaration: SetDeclaration; elements: Map<string, Element> }>()
  const elements: Element[] = []
  const taken = new Set<string>()
  for (const part of parts) {
    for (const chain of part.chains) chains.set(chain.name, chain)
    for (const declaration of part.sets) sets.set(declaration.name, { declaration, elements: new Map() })
    const own = part.elements.filter((element) => !taken.has(claimOf(element)))
    for (const element of own) taken.add(claimOf(element))
    elements.push(...own)
  }
  for (const element of elements) {
    const key = keyText(element)
    const members = sets.get(element.set)?.elements
    if (members?.has(key) === false) members.set(key, element)
  }
  return { chains, sets }
}

/** The key as nft writes it: `10.96.0.10 . tcp . 53`. */
export const keyText = ({ key }: Pick<Element, 'key'>): string => key.join(' . ')

/** What it is a part of: see `Element.claim`. */
export const claimOf = (element: Element): string => element.claim ?? `${element.set} ${keyText(element)}`

/** The chain that a statement or verdict leads to; undefined: none. */
export function targetOfStatement(statement: Statement): string | undefined {
  const verdict = statement['goto'] ?? statement['jump']
  const target = isJsonObject(verdict) ? verdict['target'] : undefined
  return typeof target === 'string' ? target : undefined
}

/** The chains that a rule leads to, by itself or by a map that is written in it. */
export const targetsOfRule = ({ statements }: Pick<Rule, 'statements'>): readonly string[] =>
  statements.flatMap((statement) => [targetOfStatement(statement) ?? [], vmapTargets(statement)].flat())

function vmapTargets(statement: Statement): readonly string[] {
  const { vmap } = statement
  const data = isJsonObject(vmap) ? vmap['data'] : undefined
  const members = isJsonObject(data) ? listOf(data['set']) : undefined
  return (members ?? []).flatMap((member) => {
    const verdict = listOf(member)?.[1]
    return isJsonObject(verdict) ? (targetOfStatement(verdict) ?? []) : []
  })
}

/** The named sets that a rule asks or changes. */
export function setsOfRule({ statements }: Pick<Rule, 'statements'>): ReadonlySet<string> {
  const names = new Set<string>()
  const open: unknown[] = [...statements]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value === 'string' && value.startsWith('@')) names.add(value.slice(1))
    else if (typeof value === 'object' && value !== null) open.push(...(Object.values(value) as readonly unknown[]))
  }
  return names
}
