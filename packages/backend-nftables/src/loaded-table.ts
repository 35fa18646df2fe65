import type { AffinityList, IpFamily, JsonObject, ListingFinder, ListingSource, LoadedRules } from '@pointsman/core'
import { NftListingError, type NftRuleset } from './listing/model.js'
import { rulesetOfJson } from './listing/read-json.js'
import { readTextListing } from './listing/read-text.js'
import { rulesetOfTable } from './listing/of-table.js'
import type { NftPlan } from './plan/rule-plan.js'
import { plannedTable } from './plan/rule-plan.js'
import { ListingError, listedObjects, listedTables, readTable } from './table/read-listing.js'
import { EMPTY_TABLE, sizeOfTable, type Table, type TableName } from './table/table.js'
import { affinityListsOf } from './trace/trace-ruleset.js'

/** The tables of a node, as `nft -j list ruleset` lists them, and of them the proxy's. */
export class LoadedTable implements LoadedRules {
  readonly family: IpFamily | undefined
  readonly version: string | undefined
  readonly #table: Table | undefined
  readonly #listed: ListedText | undefined
  #ruleset: NftRuleset | undefined
  /** All that was listed, other tables included; none where the table is of a plan. */
  readonly objects: readonly JsonObject[]

  constructor(
    table: Table | undefined,
    {
      family,
      version,
      objects = [],
      listed,
    }: {
      readonly family?: IpFamily
      readonly version?: string
      readonly objects?: readonly JsonObject[]
      readonly listed?: ListedText
    },
  ) {
    this.#table = table
    this.#listed = listed
    this.#ruleset = listed?.ruleset
    this.family = family
    this.version = version
    this.objects = objects
  }

  /** Undefined: there is no table of the proxy's. Fails where packets alone can be followed: nft printed it for people, or in both families. */
  get table(): Table | undefined {
    if (this.#listed !== undefined) throw this.#listed.refusal()
    return this.#table
  }

  /** All tables that there are, for a packet. */
  get ruleset(): NftRuleset {
    this.#ruleset ??=
      this.objects.length > 0 || this.#table === undefined
        ? rulesetOfJson(this.objects)
        : rulesetOfTable(this.#table, this.family === 'IPv6' ? 'ip6' : 'ip')
    return this.#ruleset
  }

  get count(): number {
    if (this.#listed === undefined) return sizeOfTable(this.#table ?? EMPTY_TABLE)
    const { tables } = this.#listed.ruleset
    return tables
      .flatMap(({ chains, sets }) => [...chains.map(({ rules }) => rules), ...sets.map(({ elements }) => elements)])
      .flat().length
  }
}

/** What packets can be followed through, and nothing compared with. */
interface ListedText {
  readonly ruleset: NftRuleset
  readonly refusal: () => Error
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

/** Reads what `nft list ruleset` or `nft list table` printed, as JSON or for people. Refuses what is neither. */
export function readListing(text: string, { name, refuse }: ListingSource, table: TableName): LoadedTable {
  try {
    if (!text.trimStart().startsWith('{')) {
      const refusal = (): Error =>
        refuse(`${name}: nft printed it for people: give the output of \`nft -j list ruleset\`, as JSON`)
      return new LoadedTable(undefined, { listed: { ruleset: readTextListing(text), refusal } })
    }
    const objects = listedObjects(text)
    if (listedTables(objects).filter((each) => each.name === table.name).length < 2)
      return loadedFrom(objects, { table, family: undefined })
    const refusal = (): Error =>
      refuse(
        `${name}: it has table ${table.name} in both families: give \`nft -j list table ip ${table.name}\`, or ip6`,
      )
    return new LoadedTable(undefined, { listed: { ruleset: rulesetOfJson(objects), refusal } })
  } catch (error) {
    if (!(error instanceof ListingError || error instanceof NftListingError)) throw error
    throw refuse(`${name}: ${error.message}: give what \`nft list ruleset\` prints`, { cause: error })
  }
}

/** The sets in which rules remember clients, with the endpoints that those in them are sent to. */
export const affinityLists = ({ ruleset }: LoadedTable): readonly AffinityList[] => affinityListsOf(ruleset)

/** `table ip kube-proxy {`, or JSON of nft. */
export const listings: ListingFinder = {
  isListing: (beginning) => /^\s*\{\s*"nftables"\s*:/.test(beginning) || /^table (?:ip6?|inet) \S+ \{/m.test(beginning),
  choose(files, { refuse }) {
    const [only, another] = files
    if (only === undefined) throw refuse('no file has tables of nftables: give what `nft list ruleset` prints')
    if (another !== undefined)
      throw refuse(
        `several files have tables of nftables (${only.name}, ${another.name}): give one of them with --rules`,
      )
    return only
  },
}
