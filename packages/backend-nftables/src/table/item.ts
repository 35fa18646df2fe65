import { RuleTextError, type RuleItem, type ServicePortName } from '@pointsman/core'
import {
  targetOfStatement,
  targetsOfRule,
  type Chain,
  type Element,
  type Rule,
  type SetDeclaration,
  type TableName,
  type TableParts,
} from './table.js'
import { addChain, addElement, addRule, addSet, elementText, ruleText } from './text.js'

/** What an item is. Chains without a hook are none: their rules are. */
export type ItemObject =
  | { readonly type: 'rule'; readonly chain: string; readonly rule: Rule }
  | { readonly type: 'element'; readonly element: Element }
  | { readonly type: 'set'; readonly set: SetDeclaration }
  | { readonly type: 'chain'; readonly chain: Chain }
  /** As somebody pasted it; the chain is empty where the text does not say it. */
  | { readonly type: 'text'; readonly chain: string; readonly text: string }

/** A rule, an element, a set, a map or a base chain, with its service port. Its place is its chain, set or map. */
export class NftItem implements RuleItem {
  readonly object: ItemObject
  readonly owner: ServicePortName | undefined
  readonly #table: TableName

  constructor(
    object: ItemObject,
    { owner, table }: { readonly owner: ServicePortName | undefined; readonly table: TableName },
  ) {
    this.object = object
    this.owner = owner
    this.#table = table
  }

  get table(): string {
    return this.#table.name
  }

  get chain(): string {
    const { object } = this
    switch (object.type) {
      case 'element':
        return object.element.set
      case 'set':
        return object.set.name
      case 'chain':
        return object.chain.name
      case 'rule':
      case 'text':
        return object.chain
    }
  }

  /** The command that adds it, which `nft -f` loads. */
  get line(): string {
    const { object } = this
    switch (object.type) {
      case 'rule':
        return addRule(this.#table, object.chain, object.rule)
      case 'element':
        return addElement(this.#table, object.element)
      case 'set':
        return addSet(this.#table, object.set)
      case 'chain':
        return addChain(this.#table, object.chain)
      case 'text':
        return object.text
    }
  }

  get text(): string {
    const { object } = this
    switch (object.type) {
      case 'rule':
        return ruleText(object.rule)
      case 'element':
        return elementText(object.element)
      case 'text':
        return object.text
      case 'set':
      case 'chain':
        return withoutPlace(this.line, this.chain)
    }
  }

  get identity(): string {
    return this.text
  }

  get bareIdentity(): string {
    return this.text.replace(/ ?comment "[^"]*"/, '')
  }

  /** One rule spreads over all endpoints: no item is matched by chance. */
  get share(): undefined {
    return undefined
  }

  equals(other: RuleItem): boolean {
    return other instanceof NftItem && this.chain === other.chain && this.text === other.text
  }

  /** The chains that it leads to. */
  get targets(): readonly string[] {
    const { object } = this
    if (object.type === 'rule') return targetsOfRule(object.rule)
    if (object.type === 'element')
      return object.element.verdict ? [targetOfStatement(object.element.verdict) ?? []].flat() : []
    return object.type === 'text'
      ? [...object.text.matchAll(/\b(?:goto|jump) (\S+?)(?=[\s,;}]|$)/g)].map(([, to = '']) => to)
      : []
  }
}

const withoutPlace = (line: string, name: string): string => {
  const [, kind = ''] = /^add (\S+)/.exec(line) ?? []
  return `${kind} ${line.slice(line.indexOf(` ${name}`) + name.length + 1).trim()}`.trim()
}

/** The items of one owner, those that others are led to by first: sets, chains with their rules, elements. */
export function itemsOf(
  { sets, chains, elements }: TableParts,
  of: { readonly owner: ServicePortName | undefined; readonly table: TableName },
): readonly NftItem[] {
  return [
    ...sets.map((set) => new NftItem({ type: 'set', set }, of)),
    ...chains.flatMap((chain) => [
      ...(chain.hook === undefined ? [] : [new NftItem({ type: 'chain', chain }, of)]),
      ...chain.rules.map((rule) => new NftItem({ type: 'rule', chain: chain.name, rule }, of)),
    ]),
    ...elements.map((element) => new NftItem({ type: 'element', element }, of)),
  ]
}

/**
 * An item as people paste it: a line that adds it, a line of `nft list`, or an element of one. RuleTextError for what is none.
 */
export function parseItem(text: string, name: string): NftItem {
  const trimmed = text.trim().replaceAll(/\s+/g, ' ')
  const added = /^(?:add|insert|create) (rule|element) (ip6?) (\S+) (\S+) (.+)$/.exec(trimmed)
  const [, kind, family, table = name, place = '', rest = trimmed] = added ?? []
  const body =
    kind === 'element' ? rest.replace(/^\{ ?(.*?) ?\}$/, '$1') : rest.replace(/ # handle \d+$/, '').replace(/,$/, '')
  if (!/\S \S|^[\da-f.:]+$/.test(body) || /^[-*:[]/.test(body))
    throw new RuleTextError(
      `${JSON.stringify(trimmed)} is no rule or element: paste a line of \`nft list table ip ${name}\`, such as 'ip daddr @cluster-ips reject'`,
    )
  return new NftItem(
    { type: 'text', chain: place, text: body },
    { owner: undefined, table: { family: family === 'ip6' ? 'ip6' : 'ip', name: table } },
  )
}
