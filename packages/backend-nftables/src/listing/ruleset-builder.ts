import type { NftChain, NftElement, NftFamily, NftObject, NftRule, NftRuleset, NftSet, NftTable } from './model.js'

interface TableKey {
  readonly family: NftFamily
  readonly name: string
}

interface OpenTable {
  head: Omit<NftTable, 'chains' | 'sets' | 'objects'>
  readonly chains: Map<string, { head: Omit<NftChain, 'rules'>; readonly rules: NftRule[] }>
  readonly sets: Map<string, { head: Omit<NftSet, 'elements'>; readonly elements: NftElement[] }>
  readonly objects: NftObject[]
}

/** Puts a ruleset together as it is read: what is named twice, as in several listings in a row, comes together. */
export class RulesetBuilder {
  readonly #tables = new Map<string, OpenTable>()

  table(head: OpenTable['head']): void {
    this.#open(head).head = head
  }

  chain(table: TableKey, head: Omit<NftChain, 'rules'>): void {
    const { chains } = this.#open(table)
    const found = chains.get(head.name)
    if (found === undefined) chains.set(head.name, { head, rules: [] })
    else found.head = { ...found.head, ...head }
  }

  rule(table: TableKey, chain: string, rule: NftRule): void {
    const { chains } = this.#open(table)
    if (!chains.has(chain)) chains.set(chain, { head: { name: chain }, rules: [] })
    chains.get(chain)?.rules.push(rule)
  }

  set(table: TableKey, { elements, ...head }: NftSet): void {
    this.#open(table).sets.set(head.name, { head, elements: [...elements] })
  }

  elements(table: TableKey, set: string, elements: readonly NftElement[]): void {
    const found = this.#open(table).sets.get(set)?.elements
    for (const element of elements) found?.push(element)
  }

  object(table: TableKey, object: NftObject): void {
    this.#open(table).objects.push(object)
  }

  ruleset(): NftRuleset {
    return {
      tables: [...this.#tables.values()].map(({ head, chains, sets, objects }) => ({
        ...head,
        chains: [...chains.values()].map((chain) => ({ ...chain.head, rules: chain.rules })),
        sets: [...sets.values()].map((set) => ({ ...set.head, elements: set.elements })),
        objects,
      })),
    }
  }

  #open({ family, name }: TableKey): OpenTable {
    const key = `${family} ${name}`
    const found = this.#tables.get(key)
    if (found !== undefined) return found
    const made: OpenTable = { head: { family, name, flags: [] }, chains: new Map(), sets: new Map(), objects: [] }
    this.#tables.set(key, made)
    return made
  }
}
