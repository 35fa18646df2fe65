import {
  inOverlapOrder,
  type Endpoint,
  type PlannedItems,
  type PlanOptions,
  type ProxyConfig,
  type RulePlan,
  type RulesAt,
  type ServicePort,
} from '@pointsman/core'
import { COMPACT } from '../layout/compact.js'
import { KUBE_PROXY } from '../layout/kube-proxy.js'
import { layoutContext, type Layout, type LayoutContext } from '../layout/layout.js'
import { itemsOf, type NftItem } from '../table/item.js'
import { claimOf, keyText, tableOf, type Table, type TableName, type TableParts } from '../table/table.js'
import { addChain, addTable, deleteTable } from '../table/text.js'

/** The layouts that can be planned; the first is the default. */
export const LAYOUTS: readonly [Layout, ...Layout[]] = [KUBE_PROXY, COMPACT]

/** The layout that a configuration asks for. */
export const layoutOf = ({ layout }: Pick<ProxyConfig, 'layout'>): Layout =>
  LAYOUTS.find(({ name }) => name === layout) ?? LAYOUTS[0]

/** What one owner has in the table, with what it was made from. */
export class NftPart implements PlannedItems<NftItem> {
  readonly port: ServicePort | undefined
  readonly parts: TableParts
  readonly #table: TableName

  constructor(port: ServicePort | undefined, parts: TableParts, table: TableName) {
    this.port = port
    this.parts = parts
    this.#table = table
  }

  get items(): readonly NftItem[] {
    return itemsOf(this.parts, { owner: this.port?.id, table: this.#table })
  }
}

/** The plan of one family's table. */
export interface NftPlan extends RulePlan<NftItem> {
  readonly context: LayoutContext
  readonly base: NftPart
  ofService(port: ServicePort, endpoints: readonly Endpoint[]): NftPart
  parts(): Iterable<NftPart>
}

export function planNftables(at: RulesAt, options: PlanOptions): NftPlan {
  const { state, config } = at
  const { family } = options
  const layout = layoutOf(config)
  const table = layout.table(family)
  const context = layoutContext(at, options)
  const base = new NftPart(undefined, layout.base(context), table)
  const ofService = (port: ServicePort, endpoints: readonly Endpoint[]): NftPart =>
    new NftPart(port, layout.service(port, endpoints, context), table)
  return {
    family,
    context,
    base,
    places: [...base.parts.sets, ...base.parts.chains].map(({ name }) => ({ table: table.name, chain: name })),
    ofService,
    *parts() {
      yield base
      for (const port of state.services.values())
        if (port.family === family) yield ofService(port, state.endpoints.get(port.id) ?? [])
    },
    inOrder: (parts) => inListingOrder(ordered(parts)),
    listing: (parts) => listingOf(ordered(parts), { table, comment: layout.tableComment }),
    fronts: (port, endpoints) => layout.fronts(port, endpoints, context),
  }
}

/** The table that a node has with these parts, of plans of this rule system. */
export const plannedTable = (parts: Iterable<PlannedItems>): Table => tableOf(ordered(parts).map((part) => part.parts))

/** Of those that claim one front, the port of the older Service comes first, whose element is taken; kube-proxy leaves that to chance. */
function ordered(parts: Iterable<PlannedItems>): readonly NftPart[] {
  const own = [...parts].filter((part) => part instanceof NftPart)
  const byId = new Map(own.flatMap((part) => (part.port === undefined ? [] : [[part.port.id, part] as const])))
  return [
    ...own.filter(({ port }) => port === undefined),
    ...inOverlapOrder(own.flatMap(({ port }) => port ?? [])).flatMap(({ id }) => byId.get(id) ?? []),
  ]
}

/** Sets, chains with their rules, and then elements, set by set, each claim once. */
function* inListingOrder(parts: readonly NftPart[]): Generator<NftItem> {
  const elements = new Map<string, Map<string, NftItem>>()
  const taken = new Map<string, NftPart>()
  for (const part of parts) {
    for (const item of part.items) {
      const { object } = item
      if (object.type !== 'element') {
        yield item
        continue
      }
      const { element } = object
      const claim = claimOf(element)
      const holder = taken.get(claim) ?? part
      taken.set(claim, holder)
      const members = elements.get(element.set) ?? new Map<string, NftItem>()
      elements.set(element.set, members)
      const key = keyText(element)
      if (holder === part && !members.has(key)) members.set(key, item)
    }
  }
  for (const members of elements.values()) yield* members.values()
}

/**
 * Lines that `nft -f` loads, whatever the table has before: it is deleted and made anew, so that clients are forgotten that
 * session affinity remembers.
 */
function* listingOf(
  parts: readonly NftPart[],
  { table, comment }: { readonly table: TableName; readonly comment: string },
): Generator<string> {
  const items = [...inListingOrder(parts)]
  yield addTable(table, comment)
  yield deleteTable(table)
  yield addTable(table, comment)
  for (const item of items) if (item.object.type === 'set') yield item.line
  for (const part of parts) for (const chain of part.parts.chains) yield addChain(table, chain)
  for (const item of items) if (item.object.type === 'rule' || item.object.type === 'element') yield item.line
}
