import type { AffinityList, IpFamily, ListingSource, LoadedRules } from '@pointsman/core'
import type { Rule, SavedTable } from 'node-iptables'
import { countRules } from './adapter/ruleset-digest.js'
import { readTables } from './audit/text-tables.js'
import { readPastedRules } from './pasted-rules.js'
import type { OwnedTable } from './trace/rule-tables.js'

/** The tables of one family, as iptables-save prints them. */
export class LoadedTables implements LoadedRules {
  readonly family: IpFamily | undefined
  readonly variant: string | undefined
  readonly version: string | undefined
  /** What the variant has that the node does not use. Undefined: there is none, or it cannot be known. */
  readonly other: OtherTables | undefined
  readonly notes: readonly string[]
  readonly isPart: boolean
  /** What the save says of itself beside its rules; nothing where they are not of a save. */
  readonly remarks: SaveRemarks
  readonly #tables: readonly OwnedTable[] | NftListing

  constructor(
    tables: readonly OwnedTable[] | NftListing,
    { family, variant, version, other, notes = [], isPart = false, remarks = { warnings: [] } }: TablesOrigin,
  ) {
    this.#tables = tables
    this.family = family
    this.variant = variant
    this.version = version
    this.other = other
    this.notes = notes
    this.isPart = isPart
    this.remarks = remarks
  }

  /** Fails with what `refuse` of the listing's source makes where it is of kube-proxy's nftables mode. */
  get tables(): readonly OwnedTable[] {
    if (this.#tables instanceof NftListing) throw this.#tables.refusal()
    return this.#tables
  }

  /** Whether these are rules of kube-proxy's nftables mode, of which nothing is read but that they are there. */
  get areOfNftables(): boolean {
    return this.#tables instanceof NftListing
  }

  get count(): number {
    return this.areOfNftables ? 0 : countRules(this.tables)
  }
}

/** What nft lists where kube-proxy runs in nftables mode: no rules of iptables. */
class NftListing {
  readonly refusal: () => Error

  constructor(refusal: () => Error) {
    this.refusal = refusal
  }
}

/** The comments of a save that are about what it shows. */
export interface SaveRemarks {
  /** `Warning: iptables-legacy tables present, use iptables-legacy-save to see them`: that not all is in it. */
  readonly warnings: readonly string[]
  /** `xtables-save`, `1.8.2`. */
  readonly program?: string | undefined
  readonly version?: string | undefined
}

/** The tables of the variant that a node does not use. */
export interface OtherTables {
  readonly variant: string
  readonly tables: readonly OwnedTable[]
}

interface TablesOrigin {
  readonly family: IpFamily | undefined
  readonly variant?: string
  readonly version?: string
  readonly other?: OtherTables | undefined
  readonly notes?: readonly string[]
  readonly isPart?: boolean
  readonly remarks?: SaveRemarks
}

/** The tables of what this rule system has loaded, read or planned. */
export function loadedTables(rules: LoadedRules): LoadedTables {
  if (rules instanceof LoadedTables) return rules
  throw new TypeError('these rules are of another rule system')
}

/**
 * Reads what one iptables-save printed, or what `readPastedRules` takes for it; its family is the one that its first line says, else
 * that of its addresses.
 */
export async function readListing(text: string, { name, refuse }: ListingSource): Promise<LoadedTables> {
  const ofFile = (message: string, options?: ErrorOptions): Error => refuse(`${name}: ${message}`, options)
  if (isLongerThan(text, MAX_SAVE_LINES))
    throw refuse(`${name} has more than ${MAX_SAVE_LINES} lines: give what one iptables-save prints`)
  const nft = nftTablesIn(text)
  if (nft !== undefined) return nftListing(nft, { name, refuse })
  const { lines, notes, isPart } = readPastedRules(text, ofFile)
  const tables = await readTables(lines, { refuse: (cause) => ofFile(cause.message, { cause }) })
  if (tables.length === 0) throw refuse(`${name} has no table: give what iptables-save prints`)
  const names = tables.map(({ table }) => table)
  const twice = names.find((table, at) => names.indexOf(table) !== at)
  if (twice !== undefined) throw refuse(`${name} has the table ${twice} twice: give what one iptables-save prints`)
  const family = familySaid(text) ?? familyOf(tables)
  return new LoadedTables(tables, { family, notes, isPart, remarks: remarksIn(text) })
}

function isLongerThan(text: string, most: number): boolean {
  let count = 1
  for (let at = text.indexOf('\n'); at !== -1 && count <= most; at = text.indexOf('\n', at + 1)) count += 1
  return count > most
}

/** `ip kube-proxy`: the tables of what nft lists, as text or JSON. Undefined: it is nothing that nft lists. */
function nftTablesIn(text: string): readonly string[] | undefined {
  const start = text.slice(0, LONGEST_HEAD).trimStart()
  if (start.startsWith('{')) {
    if (!/^\{\s*"nftables"\s*:/.test(start)) return undefined
    const named = text.matchAll(/"table"\s*:\s*\{\s*"family"\s*:\s*"(\w+)"\s*,\s*"name"\s*:\s*"([^"]+)"/g)
    return [...named].map(([, family = '', table = '']) => `${family} ${table}`)
  }
  if (/^\*\w+$/m.test(text)) return undefined
  const named = [...text.matchAll(/^table (ip6?|inet|arp|bridge|netdev) (\S+) \{/gm)]
  return named.length === 0 ? undefined : named.map(([, family = '', table = '']) => `${family} ${table}`)
}

const LONGEST_HEAD = 1000

function nftListing(tables: readonly string[], { name, refuse }: ListingSource): LoadedTables {
  const families = (['IPv4', 'IPv6'] as const).filter((family) =>
    tables.includes(`${family === 'IPv4' ? 'ip' : 'ip6'} kube-proxy`),
  )
  const [family, ...others] = families
  const refusal = (): Error =>
    family === undefined
      ? refuse(`${name} is what nft lists: give what iptables-save prints`)
      : refuse(
          `${name} is what nft lists of kube-proxy's nftables mode: the iptables mode's rules are read from iptables-save`,
        )
  if (family === undefined) throw refusal()
  return new LoadedTables(new NftListing(refusal), { family: others.length === 0 ? family : undefined })
}

/** The comments that iptables-save writes besides the time. */
function remarksIn(text: string): SaveRemarks {
  const warnings = [
    ...text.matchAll(/^(?:# ?)?((?:Warning: .*tables present|Table `\w+' is incompatible)[^\r\n]*)/gm),
  ].map(([, warning = '']) => warning)
  const [, program, version] = /^# Generated by (\S+) v(\d[\w.]*)/m.exec(text) ?? []
  return { warnings: [...new Set(warnings)], program, version }
}

// 10,000 Services of 15 endpoints take half of that.
const MAX_SAVE_LINES = 1_000_000

/** `# Generated by ip6tables-save v1.8.9 on ...` */
function familySaid(text: string): IpFamily | undefined {
  const [, six] = /^# Generated by ip(6)?tables(?:-\w+)*-save /m.exec(text) ?? []
  if (six !== undefined) return 'IPv6'
  return /^# Generated by iptables/m.test(text) ? 'IPv4' : undefined
}

function familyOf(tables: readonly SavedTable[]): IpFamily | undefined {
  for (const { chains } of tables) {
    for (const { rules } of chains) {
      const [address] = rules.flatMap(({ rule }) => addressIn(rule) ?? [])
      if (address !== undefined) return /^\[|:.*:/.test(address) ? 'IPv6' : 'IPv4'
    }
  }
  return undefined
}

const addressIn = ({ source, destination, target }: Rule): string | undefined =>
  source?.network ?? destination?.network ?? (target?.type === 'DNAT' ? target.to : undefined)

/** The lists of `-m recent`, each with where the rule sends those that it remembers. */
export function recentListsIn(tables: readonly SavedTable[]): readonly AffinityList[] {
  return tables.flatMap(({ chains }) =>
    chains.flatMap(({ rules }) =>
      rules.flatMap(({ rule: { matches, target } }) =>
        matches.flatMap((match): readonly AffinityList[] => {
          if (match.type !== 'recent' || match.name === undefined) return []
          return [{ list: match.name, leadsTo: target?.type === 'DNAT' ? target.to : undefined }]
        }),
      ),
    ),
  )
}
