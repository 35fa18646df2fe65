import type { Brand, OverlapGroup, ServicePortName } from '@pointsman/core'
import { formatRule } from 'node-iptables'
import { CHAINS as BASE_CHAINS } from '../ruleset/layout.js'
import type { BaseRules, ChainRules, JumpRule, ServiceRules, Table } from '../ruleset/ruleset.js'
import type { Wanted } from './changes-to.js'

/** What is in the kernel, of one family: known because it was put there, or because it was read. */
export interface Installed {
  readonly fixed: ReadonlyMap<ChainKey, RuleLines>
  /** The end of each chain that service ports share. Null: it ends otherwise than it should. */
  readonly dispatch: ReadonlyMap<ChainKey, RuleLines | null>
  /** All rules of kubelet's chains. */
  readonly kubelet: ReadonlyMap<ChainKey, RuleLines>
  /** Jumps that are to be put before all others of their chain, in this order. */
  readonly missingJumps: readonly JumpRule[]
  /** Jumps that are to be taken out before that. */
  readonly extraJumps: readonly JumpRule[]
  /** Chains that rules of others lead to. */
  readonly referred: ReadonlySet<ChainKey>
  readonly services: PackedServices
  /** Chains that several of them have. None by what is planned; service ports that are kept as they were found may. */
  readonly shared: ReadonlySet<ChainKey>
  /** What is nobody's any more. */
  readonly leftovers: RenderedService
  /** Of service ports that claim a front together with others: the group, in the order in which their rules stand. */
  readonly groups: ReadonlyMap<ServicePortName, string>
}

export const groupText = (group: OverlapGroup): string => group.join('\n')

/** What was read from the kernel, of one family: the chains that are or may be ours, and what leads to them. */
export interface Found {
  /** Their rules, in order. */
  readonly chains: ReadonlyMap<ChainKey, RuleLines>
  readonly missingJumps: readonly JumpRule[]
  readonly extraJumps: readonly JumpRule[]
  readonly referred: ReadonlySet<ChainKey>
}

/**
 * Tells whose each rule that was found is, by what is wanted: a chain or rule that is wanted by a service port is its, even
 * where the chain reads otherwise; the rest of the proxy's chains and of their rules are leftovers.
 */
export function adopt(found: Found, wanted: PackedServices, whole: WantedBase): Installed {
  const { base, overlapping } = whole
  const shared = new Map([...base.dispatch].map(([key, last]) => [key, readShared(found.chains.get(key), last)]))
  const services = new Map<ServicePortName, PackedService>()
  const nobodys = new Map(found.chains)
  for (const chains of [base.fixed, base.dispatch, base.kubelet]) for (const key of chains.keys()) nobodys.delete(key)
  for (const [name, service] of wanted) {
    const chains = chainsOf(service)
    for (const [key] of chains) nobodys.delete(key)
    const there = packService({
      chains: chains.flatMap(([key]): RenderedService['chains'] => {
        const lines = found.chains.get(key)
        return lines === undefined ? [] : [[key, lines]]
      }),
      entries: entriesOf(service).map(([key, lines]) => [
        key,
        inFoundOrder(
          linesOf(lines).filter((line) => takeOne(shared.get(key)?.counts, line)),
          shared.get(key)?.firstAt,
        ).join('\n'),
      ]),
    })
    // One string in memory where there would be two.
    services.set(name, there === service ? service : there)
  }
  const only = <T>(keys: Iterable<ChainKey>, of: (key: ChainKey) => T | undefined): Map<ChainKey, T> =>
    new Map([...keys].flatMap((key) => withValue(key, of(key))))
  const leftovers: RenderedService = {
    chains: [...nobodys],
    entries: [...shared].map(([key, { counts }]) => [key, repeated(counts).join('\n')]),
  }
  return {
    fixed: only(base.fixed.keys(), (key) => found.chains.get(key)),
    dispatch: only(base.dispatch.keys(), (key) => shared.get(key)?.end),
    kubelet: only(base.kubelet.keys(), (key) => found.chains.get(key)),
    missingJumps: found.missingJumps,
    extraJumps: found.extraJumps,
    referred: found.referred,
    services,
    shared: NONE_SHARED,
    leftovers,
    groups: new Map(
      overlapping
        .filter((group) => standsInOrder(group, { wanted, found, leftovers }))
        .flatMap((group) => group.map((name) => [name, groupText(group)])),
    ),
  }
}

const NONE_SHARED: ReadonlySet<ChainKey> = new Set()

interface WantedBase {
  readonly base: RenderedBase
  readonly overlapping: readonly OverlapGroup[]
}

interface SharedChain {
  /** Undefined: there is no such chain. */
  readonly end: RuleLines | null | undefined
  /** How often each rule stands before the end, and where it stands first. */
  readonly counts: Map<string, number>
  readonly firstAt: ReadonlyMap<string, number>
}

function readShared(rules: RuleLines | undefined, last: RuleLines): SharedChain {
  const lines = linesOf(rules)
  const ending = linesOf(last)
  const isWhole = lines.slice(lines.length - ending.length).join('\n') === last
  const before = isWhole ? lines.slice(0, lines.length - ending.length) : lines
  const counts = new Map<string, number>()
  const firstAt = new Map<string, number>()
  for (const [at, line] of before.entries()) {
    counts.set(line, (counts.get(line) ?? 0) + 1)
    if (!firstAt.has(line)) firstAt.set(line, at)
  }
  // An end that stands in the midst of the chain as well takes packets too early.
  const end = isWhole && !ending.some((line) => counts.has(line)) ? last : null
  return { end: rules === undefined ? undefined : end, counts, firstAt }
}

/** The rules of one service port in one chain, in another order than the wanted one where that does something else. */
function inFoundOrder(wanted: readonly string[], firstAt: ReadonlyMap<string, number> = new Map()): readonly string[] {
  const found = wanted.toSorted((one, other) => (firstAt.get(one) ?? 0) - (firstAt.get(other) ?? 0))
  return marksFirst(found, wanted) ? wanted : found
}

/**
 * Whether rules that mark packets for masquerading, which then go on in the chain, stand before those rules of the service port for the
 * same packets that they stand before in the wanted order: behind one that sends packets away they do nothing. No other rules of one
 * service port depend on each other's order.
 */
export function marksFirst(rules: readonly string[], wanted: readonly string[]): boolean {
  if (!wanted.some(isMark)) return true
  const places = new Map(rules.map((line, at) => [line, at]))
  const place = (line: string): number => places.get(line) ?? Infinity
  return wanted.every(
    (line, at) =>
      !isMark(line) ||
      !places.has(line) ||
      wanted.slice(at + 1).every((later) => packetsOf(later) !== packetsOf(line) || place(later) > place(line)),
  )
}

const isMark = (line: string): boolean => line.endsWith(MARKS)
const MARKS = ` -j ${BASE_CHAINS.markMasq}`

/** The destination of a rule: ` -d 10.96.0.10/32 -p tcp --dport 53`, as far as it has one. */
const packetsOf = (line: string): string => [...` ${line}`.matchAll(/ (?:-d|-p|--dport) \S+/g)].join('')

function takeOne(counts: Map<string, number> | undefined, line: string): boolean {
  const count = counts?.get(line) ?? 0
  if (count > 0) counts?.set(line, count - 1)
  return count > 0
}

const repeated = (counts: ReadonlyMap<string, number>): readonly string[] =>
  [...counts].flatMap(([line, count]) => Array.from({ length: count }, () => line))

const withValue = <T>(key: ChainKey, value: T | undefined): readonly [ChainKey, T][] =>
  value === undefined ? [] : [[key, value]]

/**
 * Whether the rules of the group stand in its order in every chain, and none like them is to be taken out: that takes out the
 * first one that reads so.
 */
function standsInOrder(
  group: OverlapGroup,
  {
    wanted,
    found,
    leftovers,
  }: {
    readonly wanted: PackedServices
    readonly found: Found
    readonly leftovers: RenderedService
  },
): boolean {
  const entries = group.flatMap((name) => entriesOf(wanted.get(name)))
  return [...new Set(entries.map(([key]) => key))].every((key) => {
    const rules = entries.filter(([other]) => other === key).flatMap(([, lines]) => linesOf(lines))
    const surplus = new Set(leftovers.entries.filter(([other]) => other === key).flatMap(([, lines]) => linesOf(lines)))
    if (rules.some((rule) => surplus.has(rule))) return false
    // Other service ports can have rules like these, so that there may be more of one.
    let next = 0
    for (const line of linesOf(found.chains.get(key))) if (line === rules[next]) next++
    return next === rules.length
  })
}

/** What is installed when all that was wanted has been brought about. */
export function installedAfter(installed: Installed, { base, services: changed, overlapping }: Wanted): Installed {
  const { services: before } = installed
  const services = (before instanceof PlannedServices ? before : new PlannedServices(before)).with(changed)
  const groups = new Map(installed.groups)
  for (const [name] of changed) groups.delete(name)
  for (const group of overlapping) for (const name of group) groups.set(name, groupText(group))
  return {
    fixed: base.fixed,
    dispatch: base.dispatch,
    kubelet: base.kubelet,
    missingJumps: [],
    extraJumps: [],
    referred: installed.referred,
    services,
    shared: installed.shared,
    leftovers: emptied(installed, changed),
    groups,
  }
}

/** Chains that others refer to are left, empty, until a service port wants them again. */
function emptied({ leftovers, referred }: Installed, wanted: Wanted['services']): RenderedService {
  if (leftovers.chains.length === 0) return { chains: [], entries: [] }
  const taken = new Set([...wanted.values()].flatMap((service) => chainsOf(service).map(([key]) => key)))
  return {
    chains: leftovers.chains.flatMap(([key]): readonly (readonly [ChainKey, string])[] =>
      referred.has(key) && !taken.has(key) ? [[key, '']] : [],
    ),
    entries: [],
  }
}

/**
 * A rendered service port as one string, in which two that say the same are equal: half the memory of what it says, and
 * what is kept of each for as long as the rules are in force.
 */
export type PackedService = Brand<string, 'PackedService'>

/** Of several service ports, by their names. */
export type ServiceTexts<Text> = Pick<ReadonlyMap<ServicePortName, Text>, 'get' | 'has' | 'keys' | 'values'> &
  Iterable<[ServicePortName, Text]>
type PackedServices = ServiceTexts<PackedService>

/**
 * Service ports whose rules are known to be in force though nobody has read them: each is planned when it is first asked for.
 * Those of an unchanged node are not before something changes.
 */
export class PlannedServices implements PackedServices {
  readonly #services: Map<ServicePortName, PackedService | PlannedLater>

  constructor(services: Iterable<readonly [ServicePortName, PackedService | PlannedLater]>) {
    this.#services = new Map(services)
  }

  get(name: ServicePortName): PackedService | undefined {
    const service = this.#services.get(name)
    return typeof service === 'object' ? service.planned() : service
  }

  has(name: ServicePortName): boolean {
    return this.#services.has(name)
  }

  keys(): MapIterator<ServicePortName> {
    return this.#services.keys()
  }

  *values(): MapIterator<PackedService> {
    for (const [, service] of this) yield service
  }

  *[Symbol.iterator](): MapIterator<[ServicePortName, PackedService]> {
    for (const [name, service] of this.#services)
      yield [name, typeof service === 'object' ? service.planned() : service]
  }

  /** The same, but for these; undefined: gone. */
  with(changed: Iterable<readonly [ServicePortName, PackedService | undefined]>): PlannedServices {
    const next = new PlannedServices(this.#services)
    for (const [name, service] of changed) {
      if (service === undefined) next.#services.delete(name)
      else next.#services.set(name, service)
    }
    return next
  }
}

/** What plans a service port's rules, once. */
export class PlannedLater {
  #plan: (() => PackedService) | undefined
  #planned: PackedService | undefined

  constructor(plan: () => PackedService) {
    this.#plan = plan
  }

  planned(): PackedService {
    if (this.#plan !== undefined) this.#planned = this.#plan()
    this.#plan = undefined
    return this.#planned as PackedService
  }
}

export const packService = ({ chains, entries }: RenderedService): PackedService =>
  [entries, chains].map(packChains).join(PARTS) as PackedService

/** None, of a service port that is not there. */
export const chainsOf = (packed: PackedService | undefined): RenderedService['chains'] =>
  packed === undefined ? [] : unpackChains(chainsText(packed))

export const entriesOf = (packed: PackedService | undefined): RenderedService['entries'] =>
  packed === undefined ? [] : unpackChains(packed.slice(0, packed.indexOf(PARTS)))

/** Its rules in one chain that all service ports share. */
export const entryLines = (packed: PackedService | undefined, key: ChainKey): readonly string[] =>
  linesOf(entriesOf(packed).find(([other]) => other === key)?.[1])

export const haveSameChains = (one: PackedService, other: PackedService): boolean =>
  chainsText(one) === chainsText(other)

// No rule has a NUL in it, whichever program made it: the kernel's strings end with one.
const CHAINS = '\0'
const PARTS = '\0\0'

const chainsText = (packed: PackedService): string => packed.slice(packed.indexOf(PARTS) + PARTS.length)

const packChains = (chains: RenderedService['chains']): string =>
  chains.map(([key, lines]) => (lines === '' ? key : `${key}\n${lines}`)).join(CHAINS)

const unpackChains = (text: string): RenderedService['chains'] =>
  text === '' ? [] : text.split(CHAINS).map(unpackChain)

function unpackChain(text: string): readonly [ChainKey, RuleLines] {
  const end = text.indexOf('\n')
  return end < 0 ? [text as ChainKey, ''] : [text.slice(0, end) as ChainKey, text.slice(end + 1)]
}

/** One chain of one table: `nat KUBE-SVC-…`. */
export type ChainKey = `${Table} ${string}`

export const chainKey = (table: Table, chain: string): ChainKey => `${table} ${chain}`
export const tableOf = (key: ChainKey): Table => key.slice(0, key.indexOf(' ')) as Table
export const chainOf = (key: ChainKey): string => key.slice(key.indexOf(' ') + 1)

/** Rules as iptables-save spells them after `-A CHAIN `, one a line. No rule is empty: one that says nothing is no rule. */
export type RuleLines = string

export const linesOf = (rules: RuleLines | undefined): readonly string[] =>
  rules === undefined || rules === '' ? [] : rules.split('\n')

/** The rules of one service port as text: all that has to be kept to know what a later change of it changes. */
export interface RenderedService {
  readonly chains: readonly (readonly [ChainKey, RuleLines])[]
  /** Its rules in the chains that all service ports share. */
  readonly entries: readonly (readonly [ChainKey, RuleLines])[]
}

export const renderService = ({ chains, entries }: ServiceRules): RenderedService => ({
  chains: chains.map(rendered),
  entries: entries.map(rendered),
})

/** What is the same whatever services there are, as text. */
export interface RenderedBase {
  /** Chains that no service port has rules in. */
  readonly fixed: ReadonlyMap<ChainKey, RuleLines>
  /** The end of each chain that service ports share. */
  readonly dispatch: ReadonlyMap<ChainKey, RuleLines>
  /** Chains of kubelet's that have to hold these rules, whatever else they hold. */
  readonly kubelet: ReadonlyMap<ChainKey, RuleLines>
  /** Rules of other layouts in these chains, which are to go. */
  readonly retired: ReadonlyMap<ChainKey, RuleLines>
  readonly jumps: readonly JumpRule[]
}

export function renderBase({ chains, jumps }: BaseRules): RenderedBase {
  const base = { fixed: new Map(), dispatch: new Map(), kubelet: new Map(), canary: new Map() } as const
  const retired = new Map<ChainKey, RuleLines>()
  for (const { table, chain, role, first, last, retired: old = [] } of chains) {
    const [key, lines] = rendered({ table, chain, rules: [...first, ...last] })
    base[role].set(key, lines)
    if (old.length > 0) retired.set(key, rendered({ table, chain, rules: old })[1])
  }
  const { dispatch, kubelet } = base
  return { fixed: new Map([...base.fixed, ...base.canary]), dispatch, kubelet, retired, jumps }
}

const rendered = ({ table, chain, rules }: ChainRules): readonly [ChainKey, RuleLines] => [
  chainKey(table, chain),
  rules.map((rule) => formatRule(rule)).join('\n'),
]
