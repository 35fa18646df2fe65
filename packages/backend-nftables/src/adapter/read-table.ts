import { setTimeout } from 'node:timers/promises'
import { NetfilterError } from 'node-netfilter'
import type { Layout } from '../layout/layout.js'
import { ownPart } from '../plan/found-parts.js'
import { changesBetween, type TableChanges } from '../plan/transaction.js'
import { bytesOfElement, elementOfBytes } from '../table/bytes.js'
import { readTable } from '../table/read-listing.js'
import {
  EMPTY_TABLE,
  keyText,
  type Element,
  type SetContents,
  type SetDeclaration,
  type Table,
  type TableName,
} from '../table/table.js'
import type { Netlink } from './netlink.js'
import type { Nft } from './nft.js'

export interface TableReader {
  /** What the kernel has, of the proxy's. */
  readonly readOwn: (signal?: AbortSignal) => Promise<Table>
  /** What it takes to have the table as it was left. */
  readonly driftFrom: (wanted: Table, signal: AbortSignal) => Promise<TableChanges>
}

/** Chains, rules and sets are listed by nft(8), and elements over netlink where that is possible: nft takes ten times as long for them. */
export function createTableReader({
  table,
  layout,
  nft,
  netlink,
}: {
  readonly table: TableName
  readonly layout: Layout
  readonly nft: Pick<Nft, 'list'>
  readonly netlink: Netlink | undefined
}): TableReader {
  const list = async (terse: boolean, signal?: AbortSignal): Promise<Table> => {
    const objects = await nft.list(table, { signal, terse })
    return ownPart((objects && readTable(objects, table)) ?? EMPTY_TABLE, layout)
  }

  /** Undefined: nf_tables was changed meanwhile, or netlink cannot read it. */
  async function readQuickly(way: Netlink, signal?: AbortSignal): Promise<Table | undefined> {
    try {
      const { id } = await way.generation()
      const found = await withElements(await list(true, signal), { table, netlink: way })
      return (await way.generation()).id === id ? found : undefined
    } catch (error) {
      if (error instanceof NetfilterError) return undefined
      throw error
    }
  }

  async function readOwn(signal?: AbortSignal): Promise<Table> {
    if (netlink === undefined) return list(false, signal)
    for (let tries = 0; tries < READING_TRIES; tries++) {
      if (tries > 0) await afterPackets(signal)
      const found = await readQuickly(netlink, signal)
      if (found !== undefined) return found
    }
    return list(false, signal)
  }

  return {
    readOwn,
    async driftFrom(wanted, signal) {
      const found = await readOwn(signal)
      const changes = changesBetween(found, wanted)
      if (changes.newElements.length === 0) return changes
      if (netlink === undefined) {
        // Right after many were added, the kernel may leave out some of a listing: what is missing counts once it is missing again.
        await afterPackets(signal)
        return changesBetween(await readOwn(signal), wanted)
      }
      return changesBetween(await withLeftOut(found, changes.newElements, { table, netlink }), wanted)
    },
  }
}

/** Of a table that is not at rest, before nft(8) lists all of it. */
const READING_TRIES = 5

/** Long enough for a packet that is between two lookups to get through, unless the machine stops for longer. */
const PACKET_MS = 20

export const afterPackets = (signal?: AbortSignal): Promise<void> =>
  setTimeout(PACKET_MS, undefined, { ...(signal && { signal }) })

/**
 * Reads the elements of a table whose sets were listed without. Undefined: nf_tables changed meanwhile, or has an element that only nft
 * can read.
 */
async function withElements(
  { chains, sets }: Table,
  { table, netlink }: { readonly table: TableName; readonly netlink: Pick<Netlink, 'readElements'> },
): Promise<Table | undefined> {
  const filled = new Map<string, SetContents>()
  for (const [name, { declaration }] of sets) {
    // Elements that packets add to a set are not compared.
    const elements =
      declaration.timeoutSeconds === undefined ? await elementsOf(declaration, { table, netlink }) : new Map()
    if (elements === undefined) return undefined
    filled.set(name, { declaration, elements })
  }
  return { chains, sets: filled }
}

async function elementsOf(
  declaration: SetDeclaration,
  { table, netlink }: { readonly table: TableName; readonly netlink: Pick<Netlink, 'readElements'> },
): Promise<ReadonlyMap<string, Element> | undefined> {
  const elements = new Map<string, Element>()
  const doubts = { isWhole: true }
  await netlink.readElements({ family: table.family, table: table.name, set: declaration.name }, (found) => {
    const element = elementOfBytes(found, declaration)
    const key = element && keyText(element)
    // While the kernel makes a set's table larger it lists some elements twice, and then leaves out others.
    if (element === undefined || key === undefined || elements.has(key)) doubts.isWhole = false
    else elements.set(key, element)
  })
  return doubts.isWhole ? elements : undefined
}

/**
 * A table with those of the elements that a reading missed and the kernel has: right after many were added, it may leave out some of a listing
 * and finds them by their keys all the same. Fails with a NetfilterError.
 */
async function withLeftOut(
  found: Table,
  missed: readonly Element[],
  { table, netlink }: { readonly table: TableName; readonly netlink: Pick<Netlink, 'findElement'> },
): Promise<Table> {
  const sets = new Map([...found.sets].map(([name, set]) => [name, { ...set, elements: new Map(set.elements) }]))
  for (const element of missed.slice(0, MOST_ASKED)) {
    const set = sets.get(element.set)
    const bytes = set && bytesOfElement(element, set.declaration)
    const there =
      bytes && (await netlink.findElement({ family: table.family, table: table.name, set: element.set }, bytes.key))
    const known = set && there && elementOfBytes(there, set.declaration)
    if (known !== undefined) set?.elements.set(keyText(known), known)
  }
  return { chains: found.chains, sets }
}

/** Where more are missing, most of them are gone; a repair of one that is there changes nothing. */
const MOST_ASKED = 10_000
