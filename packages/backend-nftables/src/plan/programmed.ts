import { byAge, type ServicePort, type ServicePortName } from '@pointsman/core'
import {
  claimOf,
  keyText,
  tableOf,
  type Element,
  type SetContents,
  type SetDeclaration,
  type Table,
  type TableParts,
} from '../table/table.js'
import { changesBetween, type TableChanges } from './transaction.js'

/** What one service port has in a table, or is to have. */
export interface OwnedParts {
  readonly port: ServicePort
  readonly parts: TableParts
}

/** What has to be changed, and what is known after it has been. */
export interface PlannedChange {
  readonly changes: TableChanges
  /** The parts of the table that are changed, as they were and as they will be. */
  readonly from: Table
  readonly to: Table
  /** Called when the change has been made. */
  readonly accept: () => void
}

/** What is known to be in the kernel's table, and whose it is. */
export interface Programmed {
  readonly table: Table
  readonly base: TableParts
  readonly owners: ReadonlyMap<ServicePortName, OwnedParts>
  /** Some service ports change, or go (undefined), all others stay. Costs what these have. */
  readonly plan: (changes: ReadonlyMap<ServicePortName, OwnedParts | undefined>) => PlannedChange
  /** All of the table is to be as these say. */
  readonly planAll: (wanted: { readonly base: TableParts; readonly owners: readonly OwnedParts[] }) => PlannedChange
}

/** A table as it was read: what is in it is nobody's until it is planned. */
export function programmedFrom(found: Table): Programmed {
  const chains = new Map(found.chains)
  const sets = new Map([...found.sets].map(([name, set]) => [name, { ...set, elements: new Map(set.elements) }]))
  const owners = new Map<ServicePortName, OwnedParts>()
  /** The service ports that have elements of a claim. */
  const claims = new Map<string, Set<ServicePortName>>()
  let base: TableParts = { sets: [], chains: [], elements: [] }

  function setOwner(name: ServicePortName, owned: OwnedParts | undefined): void {
    for (const element of owners.get(name)?.parts.elements ?? []) {
      const key = claimOf(element)
      claims.get(key)?.delete(name)
      if (claims.get(key)?.size === 0) claims.delete(key)
    }
    if (owned === undefined) owners.delete(name)
    else owners.set(name, owned)
    for (const element of owned?.parts.elements ?? []) {
      const key = claimOf(element)
      const names = claims.get(key)
      if (names === undefined) claims.set(key, new Set([name]))
      else names.add(name)
    }
  }

  /** Makes the parts of the table that a change is about as they are to be. */
  function write(from: Table, to: Table): void {
    for (const name of from.chains.keys()) chains.delete(name)
    for (const [name, chain] of to.chains) chains.set(name, chain)
    for (const [name, { elements }] of from.sets) {
      if (!to.sets.has(name)) sets.delete(name)
      for (const key of elements.keys()) sets.get(name)?.elements.delete(key)
    }
    for (const [name, { declaration, elements }] of to.sets) {
      const kept = sets.get(name)?.elements ?? new Map<string, Element>()
      for (const [key, element] of elements) kept.set(key, element)
      sets.set(name, { declaration, elements: kept })
    }
  }

  /** What the service ports that have one of these claims want of it, those that change and those that stay, before and after. */
  function contested(
    claimed: ReadonlySet<string>,
    changed: ReadonlyMap<ServicePortName, OwnedParts | undefined>,
  ): { readonly touched: readonly Element[]; readonly winners: readonly Element[] } {
    const others = new Set([...claimed].flatMap((claim) => [...(claims.get(claim) ?? [])]))
    const staying = [...others].flatMap((name) => (changed.has(name) ? [] : (owners.get(name) ?? [])))
    const after = [...staying, ...changed.values()].filter((owned) => owned !== undefined)
    const before = [...changed.keys()].flatMap((name) => owners.get(name) ?? [])
    const claimedBy = ({ parts }: OwnedParts): readonly Element[] =>
      parts.elements.filter((element) => claimed.has(claimOf(element)))
    const holders = new Map<string, OwnedParts>()
    for (const owned of after.toSorted((a, b) => byAge(a.port, b.port)))
      for (const element of claimedBy(owned)) if (!holders.has(claimOf(element))) holders.set(claimOf(element), owned)
    const winners = new Map<string, Element>()
    for (const owned of after)
      for (const element of claimedBy(owned)) {
        const place = `${element.set} ${keyText(element)}`
        if (holders.get(claimOf(element)) === owned && !winners.has(place)) winners.set(place, element)
      }
    return { touched: [...before, ...after].flatMap(claimedBy), winners: [...winners.values()] }
  }

  return {
    table: { chains, sets },
    get base() {
      return base
    },
    owners,
    plan(changed) {
      const before = [...changed.keys()].flatMap((name) => owners.get(name)?.parts ?? [])
      const after = [...changed.values()].flatMap((owned) => owned?.parts ?? [])
      const named = (list: (parts: TableParts) => readonly { readonly name: string }[]): ReadonlySet<string> =>
        new Set([...before, ...after].flatMap(list).map(({ name }) => name))
      const claimed = new Set([...before, ...after].flatMap(({ elements }) => elements.map(claimOf)))
      const { touched: elements, winners: wanted } = contested(claimed, changed)
      const fromChains = pick(
        chains,
        named((parts) => parts.chains),
      )
      const ownSets = named((parts) => parts.sets)
      const from: Table = {
        chains: fromChains,
        sets: someElements([...pick(sets, ownSets).values(), ...setsWith(elements, sets)], (set) =>
          elements.flatMap((element) =>
            element.set === set ? (sets.get(set)?.elements.get(keyText(element)) ?? []) : [],
          ),
        ),
      }
      const to: Table = {
        chains: new Map(after.flatMap((parts) => parts.chains).map((chain) => [chain.name, chain])),
        sets: someElements(
          [
            ...after.flatMap((parts) => parts.sets).map((declaration) => ({ declaration, elements: new Map() })),
            ...setsWith(elements, sets),
          ],
          (set) => wanted.filter((element) => element.set === set),
        ),
      }
      return {
        changes: changesBetween(from, to),
        from,
        to,
        accept() {
          write(from, to)
          for (const [name, owned] of changed) setOwner(name, owned)
        },
      }
    },
    planAll({ base: wantedBase, owners: wanted }) {
      const sorted = wanted.toSorted((a, b) => byAge(a.port, b.port))
      const to = tableOf([wantedBase, ...sorted.map(({ parts }) => parts)])
      const from: Table = {
        chains: new Map(chains),
        sets: new Map([...sets].map(([name, set]) => [name, { ...set, elements: new Map(set.elements) }])),
      }
      return {
        changes: changesBetween(from, to),
        from,
        to,
        accept() {
          write(from, to)
          base = wantedBase
          for (const name of owners.keys()) setOwner(name, undefined)
          for (const owned of wanted) setOwner(owned.port.id, owned)
        },
      }
    },
  }
}

const pick = <Value>(all: ReadonlyMap<string, Value>, names: ReadonlySet<string>): Map<string, Value> =>
  new Map(
    [...names].flatMap((name) => {
      const value = all.get(name)
      return value === undefined ? [] : [[name, value] as const]
    }),
  )

const setsWith = (elements: readonly Element[], sets: ReadonlyMap<string, SetContents>): readonly SetContents[] =>
  [...new Set(elements.map(({ set }) => set))].flatMap((name) => sets.get(name) ?? [])

/** The sets with these of their elements. */
const someElements = (
  sets: readonly { readonly declaration: SetDeclaration }[],
  elementsOf: (set: string) => readonly Element[],
): Map<string, SetContents> =>
  new Map(
    sets.map(({ declaration }) => [
      declaration.name,
      { declaration, elements: new Map(elementsOf(declaration.name).map((element) => [keyText(element), element])) },
    ]),
  )
