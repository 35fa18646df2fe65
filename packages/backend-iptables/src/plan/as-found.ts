import { displayName, type OverlapGroup, type ServicePort, type ServicePortName } from '@pointsman/core'
import { isServiceChain, MARK_DROP } from '../ruleset/layout.js'
import {
  chainKey,
  type ChainKey,
  chainsOf,
  entriesOf,
  type Found,
  groupText,
  type Installed,
  linesOf,
  type PackedService,
  type RenderedService,
  tableOf,
} from './installed.js'

/**
 * The rules of a service port as they were found, for one that is to be left as it is: its chains and those that they lead
 * to, and its rules in the chains that all share, by where they lead or what their comment says. Those of an older layout as
 * well. `from` are the rules in shared chains, which no other service port has then.
 */
export function asFound(
  port: ServicePort,
  { named: wanted, isOthers, isOthersEntry, shared }: OwnRules,
  found: Found,
): RenderedService & { readonly from: readonly Entry[] } {
  const { named, leading } = entriesIn(found, shared)
  const own = (named.get(displayName(port)) ?? []).filter((entry) => !isOthersEntry(entry))
  const chains = new Set<ChainKey>()
  const waiting = [...wanted.map(([key]) => key), ...own.flatMap(({ key, line }) => chainsLedTo(key, line))]
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const rules = found.chains.get(key)
    if (rules === undefined || chains.has(key) || isOthers(key)) continue
    chains.add(key)
    for (const line of linesOf(rules)) for (const next of chainsLedTo(key, line)) waiting.push(next)
  }
  const entries = [...new Set([...own, ...[...chains].flatMap((key) => leading.get(key) ?? [])])].filter(
    (entry) => !isOthersEntry(entry),
  )
  return {
    from: entries,
    chains: [...chains].map((key) => [key, found.chains.get(key) ?? '']),
    entries: shared.map((key) => [
      key,
      entries
        .filter((entry) => entry.key === key)
        .toSorted((a, b) => a.at - b.at)
        .map(({ line }) => line)
        .join('\n'),
    ]),
  }
}

interface OwnRules {
  /** The chains that are the service port's by their names. */
  readonly named: RenderedService['chains']
  /** Whether a chain is another service port's by its name. */
  readonly isOthers: (key: ChainKey) => boolean
  /** Whether a rule of a shared chain is another service port's. */
  readonly isOthersEntry: (entry: Entry) => boolean
  /** The chains that all service ports have rules in. */
  readonly shared: readonly ChainKey[]
}

/** A rule in a chain that all share, and its place there. */
export interface Entry {
  readonly key: ChainKey
  readonly at: number
  readonly line: string
}

interface Entries {
  /** By the service port that the comment names. */
  readonly named: ReadonlyMap<string, readonly Entry[]>
  readonly leading: ReadonlyMap<ChainKey, readonly Entry[]>
}

/** Of what was found once, many service ports may be asked for. */
const KNOWN = new WeakMap<Found, Entries>()

function entriesIn(found: Found, shared: OwnRules['shared']): Entries {
  const known = KNOWN.get(found)
  if (known !== undefined) return known
  const [named, leading] = [new Map<string, Entry[]>(), new Map<ChainKey, Entry[]>()]
  for (const key of shared) {
    for (const [at, line] of linesOf(found.chains.get(key)).entries()) {
      const entry = { key, at, line }
      const name = / --comment "?([^ "]+)/.exec(` ${line}`)?.[1]
      if (name !== undefined) put(named, name, entry)
      for (const chain of chainsLedTo(key, line)) put(leading, chain, entry)
    }
  }
  KNOWN.set(found, { named, leading })
  return { named, leading }
}

function put<K>(entries: Map<K, Entry[]>, key: K, entry: Entry): void {
  const list = entries.get(key)
  if (list === undefined) entries.set(key, [entry])
  else list.push(entry)
}

/** KUBE-MARK-DROP is led to by service ports of the older layout: it stays as long as one of them does. */
const chainsLedTo = (from: ChainKey, line: string): readonly ChainKey[] => {
  const chain = / -j (\S+)/.exec(` ${line}`)?.[1]
  return chain !== undefined && (isServiceChain(chain) || chain === MARK_DROP) ? [chainKey(tableOf(from), chain)] : []
}

/** Service ports that were synced in some time, with each version of their rules that there was in it. */
type SyncedVersions = ReadonlyMap<ServicePortName, readonly PackedService[]>

/**
 * What was read while service ports were synced, as if they had been read after it: of those, what was found may be of any
 * version, or half of one, and counts as right. What else differs from `now` is an external change.
 */
export function exceptSynced(
  found: Installed,
  {
    synced,
    now,
    overlapping,
  }: { readonly synced: SyncedVersions; readonly now: Installed; readonly overlapping: readonly OverlapGroup[] },
): Installed {
  if (synced.size === 0) return found
  const services = new Map(found.services)
  for (const name of synced.keys()) {
    const service = now.services.get(name)
    if (service === undefined) services.delete(name)
    else services.set(name, service)
  }
  const groups = new Map(found.groups)
  for (const group of overlapping) {
    if (group.some((name) => synced.has(name))) for (const name of group) groups.set(name, groupText(group))
  }
  return { ...found, services, groups, leftovers: without(found.leftovers, [...synced.values()].flat()) }
}

function without(leftovers: RenderedService, versions: readonly PackedService[]): RenderedService {
  const chains = new Set(versions.flatMap((service) => chainsOf(service).map(([key]) => key)))
  const entries = new Map<ChainKey, Set<string>>()
  for (const [key, lines] of versions.flatMap(entriesOf)) {
    const rules = entries.get(key) ?? new Set()
    for (const line of linesOf(lines)) rules.add(line)
    entries.set(key, rules)
  }
  return {
    chains: leftovers.chains.filter(([key]) => !chains.has(key)),
    entries: leftovers.entries.map(([key, lines]) => [
      key,
      linesOf(lines)
        .filter((line) => entries.get(key)?.has(line) !== true)
        .join('\n'),
    ]),
  }
}
