import type { AffinityList, IpFamily, JsonObject, ListingSource, LoadedRules } from '@pointsman/core'
import { endpointNamedBy, isAffinitySet } from './layout/names.js'
import type { NftPlan } from './plan/rule-plan.js'
import { plannedTable } from './plan/rule-plan.js'
import { ListingError, listedObjects, listedTables, readTable } from './table/read-listing.js'
import { EMPTY_TABLE, sizeOfTable, type Table, type TableName } from './table/table.js'

/** The tables of a node, as `nft -j list ruleset` lists them, and of them the proxy's. */
export class LoadedTable implements LoadedRules {
  readonly family: IpFamily | undefined
  readonly version: string | undefined
  /** Undefined: there is no table of the proxy's. */
  readonly table: Table | undefined
  /** All that was listed, other tables included; none where the table is of a plan. */
  readonly objects: readonly JsonObject[]

  constructor(
    table: Table | undefined,
    {
      family,
      version,
      objects = [],
    }: { readonly family?: IpFamily; readonly version?: string; readonly objects?: readonly JsonObject[] },
  ) {
    this.table = table
    this.family = family
    this.version = version
    this.objects = objects
  }

  get count(): number {
    return sizeOfTable(this.table ?? EMPTY_TABLE)
  }
}

export function loadedTable(rules: LoadedRules): LoadedTable {
  if (rules instanceof LoadedTable) return rules
  throw new TypeError('these rules are not of nftables')
}

/** The table of a plan, as a node has it that has no others. */
export const loadedOf = (plan: NftPlan): LoadedTable =>
  new LoadedTable(plannedTable(plan.parts()), { family: plan.family })

/** Of objects that nft listed. Where both families have the table, `family` chooses. */
export function loadedFrom(
  objects: readonly JsonObject[],
  { table: { name }, family }: { readonly table: TableName; readonly family: IpFamily | undefined },
): LoadedTable {
  const found = listedTables(objects).filter((each) => each.name === name)
  const wanted = family === undefined ? found[0] : found.find((each) => familyOf(each) === family)
  const version = versionOf(objects)
  const origin = { objects, ...(version !== undefined && { version }) }
  if (wanted === undefined) return new LoadedTable(undefined, { ...origin, ...(family && { family }) })
  return new LoadedTable(readTable(objects, wanted), { ...origin, family: familyOf(wanted) })
}

const familyOf = ({ family }: TableName): IpFamily => (family === 'ip' ? 'IPv4' : 'IPv6')

function versionOf(objects: readonly JsonObject[]): string | undefined {
  for (const { metainfo } of objects) {
    const version = typeof metainfo === 'object' && metainfo !== null ? (metainfo as JsonObject)['version'] : undefined
    if (typeof version === 'string') return version
  }
  return undefined
}

/** Reads what `nft -j list ruleset` or `nft -j list table` printed. Refuses what is none, and what has the table in both families. */
export function readListing(text: string, { name, refuse }: ListingSource, table: TableName): LoadedTable {
  if (/^\s*table\s/.test(text))
    throw refuse(`${name}: nft printed it for people: give the output of \`nft -j list ruleset\`, as JSON`)
  let objects: readonly JsonObject[]
  try {
    objects = listedObjects(text)
  } catch (error) {
    if (error instanceof ListingError) throw refuse(`${name}: ${error.message}`, { cause: error })
    throw error
  }
  if (listedTables(objects).filter((each) => each.name === table.name).length > 1)
    throw refuse(
      `${name}: it has table ${table.name} in both families: give \`nft -j list table ip ${table.name}\`, or ip6`,
    )
  return loadedFrom(objects, { table, family: undefined })
}

/** The sets in which the table remembers clients. */
export const affinityLists = ({ table }: LoadedTable): readonly AffinityList[] =>
  [...(table?.sets.keys() ?? [])].flatMap((name) =>
    isAffinitySet(name) ? [{ list: name, leadsTo: endpointNamedBy(name) }] : [],
  )
