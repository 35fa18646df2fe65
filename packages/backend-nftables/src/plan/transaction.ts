import type { Layout } from '../layout/layout.js'
import { elementValue, hookIdentity, ruleIdentity, setIdentity } from '../table/canonical.js'
import {
  keyText,
  setsOfRule,
  type Chain,
  type Element,
  type SetContents,
  type SetDeclaration,
  type Table,
  type TableName,
} from '../table/table.js'
import {
  addChain,
  addElement,
  addRule,
  addSet,
  addTable,
  changeOf,
  deleteElement,
  deleteRule,
  insertRule,
  ruleText,
} from '../table/text.js'

/** What makes one table of another. Rules are written chain by chain: what jumps to a chain of a service port is elsewhere. */
export interface TableChanges {
  readonly newChains: readonly Chain[]
  /** Chains that are there, with the rules that they are to have. */
  readonly rewrittenChains: readonly Chain[]
  /** Chains that have to be made anew, because their hook is another. */
  readonly remadeChains: readonly Chain[]
  readonly removedChains: readonly string[]
  readonly newSets: readonly SetDeclaration[]
  readonly removedSets: readonly SetDeclaration[]
  readonly newElements: readonly Element[]
  readonly removedElements: readonly Element[]
}

/**
 * What has to be changed in `from` for it to be `to`. Both may be parts of a table, as long as they are the same parts: a chain that is
 * rewritten because a set of it has to be made anew has to be in both.
 */
export function changesBetween(from: Table, to: Table): TableChanges {
  const remadeSets = new Set<string>()
  for (const [name, { declaration }] of to.sets) {
    const found = from.sets.get(name)
    if (found !== undefined && setIdentity(found.declaration) !== setIdentity(declaration)) remadeSets.add(name)
  }
  const chains: Record<'newChains' | 'rewrittenChains' | 'remadeChains', Chain[]> = {
    newChains: [],
    rewrittenChains: [],
    remadeChains: [],
  }
  for (const [name, chain] of to.chains) {
    const found = from.chains.get(name)
    if (found === undefined) chains.newChains.push(chain)
    else if (hookIdentity(found) !== hookIdentity(chain)) chains.remadeChains.push(chain)
    else if (!sameRules(found, chain) || asksOneOf(found, remadeSets)) chains.rewrittenChains.push(chain)
  }
  const elements = [...new Set([...from.sets.keys(), ...to.sets.keys()])].map((name) =>
    elementChanges(remadeSets.has(name) ? undefined : from.sets.get(name), to.sets.get(name)),
  )
  return {
    ...chains,
    removedChains: [...from.chains.keys()].filter((name) => !to.chains.has(name)),
    newSets: [...to.sets].flatMap(([name, { declaration }]) =>
      !from.sets.has(name) || remadeSets.has(name) ? [declaration] : [],
    ),
    removedSets: [...from.sets].flatMap(([name, { declaration }]) =>
      !to.sets.has(name) || remadeSets.has(name) ? [declaration] : [],
    ),
    newElements: elements.flatMap(({ added }) => added),
    removedElements: elements.flatMap(({ removed }) => removed),
  }
}

const sameRules = (a: Chain, b: Chain): boolean =>
  a.rules.length === b.rules.length &&
  a.rules.every((rule, index) => {
    const other = b.rules[index]
    return other !== undefined && (rule === other || ruleIdentity(rule) === ruleIdentity(other))
  })

const asksOneOf = ({ rules }: Chain, sets: ReadonlySet<string>): boolean =>
  sets.size > 0 && rules.some((rule) => [...setsOfRule(rule)].some((name) => sets.has(name)))

/** The elements of a set that is removed go with it. */
function elementChanges(
  from: SetContents | undefined,
  to: SetContents | undefined,
): { readonly added: readonly Element[]; readonly removed: readonly Element[] } {
  if (to === undefined) return { added: [], removed: [] }
  const isAsBefore = (element: Element, key: string): boolean => {
    const found = from?.elements.get(key)
    return found !== undefined && (found === element || elementValue(found) === elementValue(element))
  }
  return {
    added: [...to.elements].flatMap(([key, element]) => (isAsBefore(element, key) ? [] : [element])),
    removed: [...(from?.elements ?? [])].flatMap(([key, element]) => {
      const wanted = to.elements.get(key)
      return wanted !== undefined && isAsBefore(wanted, key) ? [] : [element]
    }),
  }
}

export const isNothing = (changes: TableChanges): boolean =>
  Object.values<readonly unknown[]>({ ...changes }).every(({ length }) => length === 0)

/** The chains, sets and maps that are changed, by name. */
export const changedNames = (changes: TableChanges): readonly string[] =>
  [
    ...new Set([
      ...[changes.newChains, changes.rewrittenChains, changes.remadeChains].flat().map(({ name }) => name),
      ...changes.removedChains,
      ...[...changes.newSets, ...changes.removedSets].map(({ name }) => name),
      ...[...changes.newElements, ...changes.removedElements].map(({ set }) => set),
    ]),
  ].toSorted()

/** How a table is written: its name and comment, and when elements that nothing takes the place of are removed. */
export interface Target {
  readonly table: TableName
  readonly comment: string
  readonly removalStage?: Layout['removalStage'] | undefined
  /** Of each set whose elements are changed. */
  readonly declarationOf: (set: string) => SetDeclaration | undefined
}

/** What is committed at once. Text for nft(8) and the bytes of netlink are two forms of it. */
export interface Transaction {
  readonly changes: TableChanges
  readonly target: Target
  /** Chains whose rules are put before those that they have, with a return between them. */
  readonly inserted: readonly Chain[]
  /** Chains that end with rules that are no longer wanted, and are removed before all else: see `trimLines`. */
  readonly trimmed: readonly Chain[]
}

/** All changes at once, as lines for `nft -f`; none for no changes. */
export const wholeTransaction = (changes: TableChanges, target: Target): readonly string[] =>
  linesOf({ changes, target, inserted: [], trimmed: [] })

/** Whether no chain and no set is made, rewritten or removed. */
export const isOfElements = ({ changes, inserted, trimmed }: Transaction): boolean =>
  inserted.length === 0 && trimmed.length === 0 && isNothing({ ...changes, newElements: [], removedElements: [] })

/**
 * The transactions that make the changes, in their order; none for no changes. All that a state wants is in
 * force after the first; packets that were looked at between two lookups need the others not to come at once.
 *
 * A packet that has begun with a rule asks the rule's anonymous map afterwards. A commit that takes the rule away takes the elements of its map
 * away as well, for this packet too: it finds none, and falls out of the chain. For this reason, the rules that a chain is to have are
 * inserted before those that it has, with a return between them, and the others are deleted in the next transaction. (kube-proxy flushes
 * the chain, and loses these packets.)
 */
export function transactionsOf(changes: TableChanges, target: Target): readonly Transaction[] {
  const { removalStage = () => 0 } = target
  const placeOf = (element: Element): string => `${element.set} ${keyText(element)}`
  const replaced = new Set(changes.newElements.map(placeOf))
  const removals: readonly Element[][] = [[], [], []]
  for (const element of changes.removedElements)
    removals[replaced.has(placeOf(element)) ? 0 : removalStage(element.set)]?.push(element)
  const [first = [], second = [], third = []] = removals
  const { removedChains } = changes
  const remade = new Set(changes.newSets.map(({ name }) => name))
  // A set that is made anew takes the rules that ask it with it.
  const [trimmed, rewrittenChains] = divided(changes.rewrittenChains, (chain) => !asksOneOf(chain, remade))
  const isStaged =
    trimmed.length > 0 ||
    second.length > 0 ||
    third.length > 0 ||
    changes.removedSets.some(({ name }) => removalStage(name) > 0)
  if (!isStaged) return [{ changes, target, inserted: [], trimmed }].filter(isSomething)
  // What led to these is removed with them.
  const removedSets = changes.removedSets.filter(({ name }) => !remade.has(name))
  const stages: readonly TableChanges[] = [
    {
      ...changes,
      rewrittenChains,
      removedElements: first,
      removedChains: [],
      removedSets: changes.removedSets.filter(({ name }) => remade.has(name)),
    },
    { ...NO_CHANGES, removedElements: second, removedChains, removedSets },
    { ...NO_CHANGES, removedElements: third },
  ]
  return stages
    .map((stage, index): Transaction => ({
      changes: stage,
      target,
      inserted: index === 0 ? trimmed : [],
      trimmed: index === 1 ? trimmed : [],
    }))
    .filter(isSomething)
}

const isSomething = ({ changes, inserted, trimmed }: Transaction): boolean =>
  inserted.length > 0 || trimmed.length > 0 || !isNothing(changes)

const divided = <Item>(items: readonly Item[], isFirst: (item: Item) => boolean): readonly [Item[], Item[]] => [
  items.filter((item) => isFirst(item)),
  items.filter((item) => !isFirst(item)),
]

const insertLines = (table: TableName, { name, rules }: Chain): readonly string[] =>
  [...rules.map(ruleText), 'return'].toReversed().map((rule) => insertRule(table, name, rule))

/**
 * Lines that leave a chain the rules that were inserted into it. `handles` are those of all that it has now; undefined: they are not known, and
 * the chain is written anew, as kube-proxy does it.
 */
export function trimLines(
  table: TableName,
  { name, rules }: Chain,
  handles: readonly bigint[] | undefined,
): readonly string[] {
  if (handles !== undefined && handles.length > rules.length)
    return handles.slice(rules.length).map((handle) => deleteRule(table, name, handle))
  return [changeOf(table, { verb: 'flush', kind: 'chain', name }), ...rules.map((rule) => addRule(table, name, rule))]
}

const NO_CHANGES: TableChanges = {
  newChains: [],
  rewrittenChains: [],
  remadeChains: [],
  removedChains: [],
  newSets: [],
  removedSets: [],
  newElements: [],
  removedElements: [],
}

/**
 * A transaction as lines for `nft -f`, but for what is trimmed. Nothing refers to what is not there yet or not there any more, at any line: rules go
 * before the sets that they ask, and elements before the chains that they lead to.
 */
export function linesOf({ changes, target, inserted }: Transaction): readonly string[] {
  const { table, comment } = target
  if (isNothing(changes) && inserted.length === 0) return []
  const { newChains, rewrittenChains, remadeChains, removedChains, newSets, removedSets } = changes
  const change = (verb: 'flush' | 'delete', kind: 'chain' | 'set' | 'map', name: string): string =>
    changeOf(table, { verb, kind, name })
  const written = [...newChains, ...remadeChains, ...rewrittenChains]
  return [
    addTable(table, comment),
    ...[...rewrittenChains, ...remadeChains].map(({ name }) => change('flush', 'chain', name)),
    ...removedChains.map((name) => change('flush', 'chain', name)),
    ...changes.removedElements.map((element) => deleteElement(table, element)),
    ...removedSets.map(({ kind, name }) => change('delete', kind, name)),
    ...remadeChains.map(({ name }) => change('delete', 'chain', name)),
    ...newSets.map((set) => addSet(table, set)),
    ...[...newChains, ...remadeChains].map((chain) => addChain(table, chain)),
    ...written.flatMap(({ name, rules }) => rules.map((rule) => addRule(table, name, rule))),
    ...changes.newElements.map((element) => addElement(table, element)),
    ...removedChains.map((name) => change('delete', 'chain', name)),
    ...inserted.flatMap((chain) => insertLines(table, chain)),
  ]
}

/** How many rules and elements a transaction writes. */
export const writtenBy = ({ newChains, remadeChains, rewrittenChains, newElements }: TableChanges): number =>
  [...newChains, ...remadeChains, ...rewrittenChains].reduce((sum, { rules }) => sum + rules.length, newElements.length)
