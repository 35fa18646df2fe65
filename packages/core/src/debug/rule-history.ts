import { selectEndpoints, type EndpointSelection } from '../model/endpoint-selection.js'
import type { Endpoint } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServicePortName } from '../model/names.js'
import { nodeWithoutObject } from '../model/node.js'
import { configOfRecord, type ProxyConfig } from '../model/proxy-config.js'
import { NO_SEQ, type ConfigRecord, type LogRecord, type ObjectRecord } from '../model/record.js'
import { watchEventOf } from '../model/watch-event.js'
import type { PlannedItems, PlanOptions, PortEndpoints, RuleItem, RulePlan, RulePlanner } from '../ports/dataplane.js'
import { createStateFold } from '../state/state-fold.js'
import type { ServiceEdit } from './outage.js'
import { createEditFinder } from './service-edits.js'

/** What changed rules. */
export type Cause =
  | {
      readonly type: 'object'
      readonly record: ObjectRecord
      /** The record of the object's version before; absent where there was none, or where the log does not hold it. */
      readonly previous?: ObjectRecord
    }
  | { readonly type: 'config'; readonly record: ConfigRecord }
  /** No record: they were there where the log begins. */
  | { readonly type: 'start' }

/** A service port between two records: what its rules are made from. */
export interface PortMoment extends PortEndpoints {
  /** The endpoints that the node sends traffic to. */
  readonly selection: EndpointSelection
}

/** One moment at which rules changed, the same for all of them that one service port has. */
export interface RuleChange {
  readonly cause: Cause
  /** The rules' service port before and after; absent where it was not there, and for rules of no service. */
  readonly before?: PortMoment
  readonly after?: PortMoment
}

/** A rule with where it comes from. */
export interface BlamedRule<Item extends RuleItem = RuleItem> {
  readonly item: Item
  /** The change after which it says what it says, its share aside. */
  readonly made: RuleChange
  /** The last change of its text: `made`, or, where other endpoints came or went since, what changed its share. */
  readonly changed: RuleChange
}

/** A rule that no longer exists. */
export interface GoneRule<Item extends RuleItem = RuleItem> extends BlamedRule<Item> {
  readonly removed: RuleChange
}

/** Whether the last change of its text was of its share alone: because of a neighbour. */
export const isOddsAlone = ({ made, changed }: Pick<BlamedRule, 'made' | 'changed'>): boolean => made !== changed

/** The endpoints that the node sends some traffic to, each once. */
export const usedEndpoints = (moment: PortMoment | undefined): readonly Endpoint[] =>
  moment === undefined ? [] : [...new Set([...moment.selection.cluster, ...moment.selection.local])]

export interface RuleHistoryOptions<Item extends RuleItem = RuleItem> {
  readonly planner: RulePlanner<Item>
  /** Comments are always kept: that a cluster grows large, and rules lose them, is nobody's change. */
  readonly options: Omit<PlanOptions, 'keepComments'>
  /** In force until a record says otherwise. */
  readonly config: ProxyConfig
  /** The node that the rules are for; absent: the only one. */
  readonly nodeName?: string | undefined
  /** What is there before the first record: of a log whose beginning was pruned. */
  readonly objects?: Iterable<KubernetesObject>
  /** Which rules are followed; absent: all. The history holds no records of the others. */
  readonly accepts?: (item: Item) => boolean
}

/** The rules of one node, record by record, each with the record that it comes from. */
export interface RuleHistory<Item extends RuleItem = RuleItem> {
  /** Takes the next record, and returns the rules that it removed. */
  take(record: LogRecord): readonly GoneRule<Item>[]
  /** The rules after the last record, in the order of a listing. */
  rules(): readonly BlamedRule<Item>[]
  /** The change of a Service that a change of its slice follows from; undefined where none came between. */
  editBehind(cause: Cause): ServiceEdit | undefined
}

/**
 * Follows the rules of everything that the records are about: given the records of one Service, its slices, the Node and
 * the configuration, the rules of that Service are those that all records would have made.
 */
export function createRuleHistory<Item extends RuleItem>({
  planner,
  options,
  nodeName,
  ...given
}: RuleHistoryOptions<Item>): RuleHistory<Item> {
  const { family } = options
  const { accepts = () => true } = given
  const accepted = ({ items }: PlannedItems<Item>): readonly Item[] => items.filter(accepts)
  // Until its object comes, the node is known by name.
  const namedNode = nodeName === undefined ? undefined : nodeWithoutObject(nodeName)
  const fold = createStateFold({ ...(nodeName !== undefined && { nodeName }) })
  const versions = new Map<string, ObjectRecord>()
  const edits = createEditFinder()
  const services = new Map<ServicePortName, FollowedPort<Item>>()
  const baseRules = createBlameEntries<Item>()
  let config = given.config
  let isConfigured = given.objects !== undefined
  let plan = planNow()

  function planNow(): RulePlan<Item> {
    const { node = namedNode, ...state } = fold.state
    return planner.plan({ state: { ...state, ...(node && { node }) }, config }, { ...options, keepComments: true })
  }

  const momentOf = (id: ServicePortName): PortMoment | undefined => {
    const port = fold.state.services.get(id)
    const endpoints = fold.state.endpoints.get(id) ?? []
    const node = fold.state.node ?? namedNode
    return port && { port, endpoints, selection: selectEndpoints({ port, endpoints, node }) }
  }

  const replanPort = (id: ServicePortName, { cause, always }: Replanning): readonly GoneRule<Item>[] => {
    const followed = services.get(id)
    const after = momentOf(id)
    const before = followed?.moment
    if (after === undefined || after.port.family !== family) {
      services.delete(id)
      return followed?.entries.replace([], { cause, ...(before && { before }) }) ?? []
    }
    const entries = followed?.entries ?? createBlameEntries<Item>()
    if (followed !== undefined && !always && givesSameRules(followed.moment, after)) {
      services.set(id, { ...followed, moment: after })
      return []
    }
    const planned = plan.ofService(after.port, after.endpoints)
    services.set(id, { moment: after, planned, entries })
    return entries.replace(accepted(planned), { cause, ...(before && { before }), after })
  }

  const replanAll = (cause: Cause, changed: Iterable<ServicePortName> = []): readonly GoneRule<Item>[] => {
    plan = planNow()
    const ids = new Set([...services.keys(), ...changed])
    return [
      ...baseRules.replace(accepted(plan.base), { cause }),
      ...[...ids].flatMap((id) => replanPort(id, { cause, always: true })),
    ]
  }

  const apply = (cause: Cause): readonly GoneRule<Item>[] => {
    const { changed, nodeChanged, serviceCidrsChanged } = fold.apply()
    if (nodeChanged || serviceCidrsChanged) return replanAll(cause, changed)
    return [...changed].flatMap((id) => replanPort(id, { cause, always: false }))
  }

  const takeConfig = (record: ConfigRecord): readonly GoneRule<Item>[] => {
    config = configOfRecord(record.config)
    // What is there whatever Services there are came with the first configuration.
    if (!isConfigured) baseRules.clear()
    isConfigured = true
    return replanAll({ type: 'config', record })
  }

  const takeObject = (record: ObjectRecord): readonly GoneRule<Item>[] => {
    const key = keyOf(record.object)
    const previous = versions.get(key)
    if (record.event === 'DELETED') versions.delete(key)
    else versions.set(key, record)
    edits.take(record, previous?.object)
    fold.track(record.seq, watchEventOf(record))
    return apply({ type: 'object', record, ...(previous && { previous }) })
  }

  for (const object of given.objects ?? []) {
    fold.track(NO_SEQ, { type: 'ADDED', object, observedAt: 0 })
  }
  fold.apply()
  replanAll(START, [...fold.state.services.keys()])

  return {
    editBehind: (cause) =>
      cause.type === 'object' ? edits.behind({ before: cause.previous, after: cause.record }) : undefined,
    take(record) {
      if (record.type === 'config') return takeConfig(record)
      return record.type === 'object' ? takeObject(record) : []
    },
    rules() {
      const parts = [plan.base, ...[...services.values()].map(({ planned }) => planned)]
      const places = new Map<string, number>()
      return [...plan.inOrder(parts)].filter(accepts).flatMap((item) => {
        const { table, chain, owner } = item
        const entries = owner === undefined ? baseRules : services.get(owner)?.entries
        const key = `${owner ?? ''} ${table} ${chain}`
        const place = places.get(key) ?? 0
        places.set(key, place + 1)
        return entries?.ofChain(item)[place] ?? []
      })
    },
  }
}

interface FollowedPort<Item extends RuleItem> {
  readonly moment: PortMoment
  readonly planned: PlannedItems<Item>
  readonly entries: BlameEntries<Item>
}

interface Replanning {
  readonly cause: Cause
  /** Whether or not the service port and its endpoints are what they were. */
  readonly always: boolean
}

const START: Cause = { type: 'start' }

/** Most records are of endpoints that the node does not use, before and after. */
function givesSameRules(one: PortMoment, other: PortMoment): boolean {
  const [a, b] = [one.selection, other.selection]
  return (
    a.hasEndpoints === b.hasEndpoints &&
    areSamePlaces(a.cluster, b.cluster) &&
    areSamePlaces(a.local, b.local) &&
    isEqual(one.port, other.port)
  )
}

const areSamePlaces = (some: readonly Endpoint[], others: readonly Endpoint[]): boolean =>
  some.length === others.length && some.every((endpoint, index) => isSamePlace(endpoint, others[index]))

const isSamePlace = (one: Endpoint, other: Endpoint | undefined): boolean =>
  one.address === other?.address && one.port === other.port

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`

/** The rules of one service port, or of none, each with what made it, from one moment to the next. */
interface BlameEntries<Item extends RuleItem> {
  /** Puts rules in the place of those before, and returns those that no longer exist. */
  replace(items: Iterable<Item>, change: RuleChange): readonly GoneRule<Item>[]
  /** The rules of one chain, in order. */
  ofChain(place: Place): readonly BlamedRule<Item>[]
  /** Forgets all, as if there had been none. */
  clear(): void
}

type Place = Pick<RuleItem, 'table' | 'chain'>

function createBlameEntries<Item extends RuleItem>(): BlameEntries<Item> {
  let chains: ReadonlyMap<string, ChainEntries<Item>> = new Map()
  return {
    replace(items, change) {
      const before = chains
      chains = new Map([...byChain(items)].map(([key, chain]) => [key, next(before.get(key), chain, change)]))
      const gone = [...before].flatMap(([key, old]) => goneBetween(old, chains.get(key)))
      return gone.map((rule) => ({ ...rule, removed: change }))
    },
    ofChain: (place) => chains.get(chainKey(place))?.blamed ?? [],
    clear: () => void (chains = new Map()),
  }
}

/** Rules in order, and what distinguishes them: only made where something in the chain changed. */
interface ChainEntries<Item extends RuleItem> {
  readonly blamed: readonly BlamedRule<Item>[]
  readonly identities: readonly string[]
}

function byChain<Item extends RuleItem>(items: Iterable<Item>): ReadonlyMap<string, readonly Item[]> {
  const chains = new Map<string, Item[]>()
  for (const item of items) {
    const key = chainKey(item)
    const chain = chains.get(key)
    if (chain === undefined) chains.set(key, [item])
    else chain.push(item)
  }
  return chains
}

const chainKey = ({ table, chain }: Place): string => `${table} ${chain}`

function next<Item extends RuleItem>(
  before: ChainEntries<Item> | undefined,
  items: readonly Item[],
  change: RuleChange,
): ChainEntries<Item> {
  // Most changes leave most chains as they were, and comparing costs less than making text.
  if (before !== undefined && areEqual(items, before)) return before
  const identities = distinct(items.map(({ identity }) => identity))
  const old = new Map(before?.identities.map((identity, index) => [identity, before.blamed[index]]))
  const blamed = items.map((item, index) => ({ item, ...blameOf(item, old.get(identities[index] ?? ''), change) }))
  return { blamed, identities }
}

const areEqual = (items: readonly RuleItem[], { blamed }: Pick<ChainEntries<RuleItem>, 'blamed'>): boolean =>
  items.length === blamed.length && items.every((item, index) => blamed[index]?.item.equals(item) === true)

function blameOf(
  item: RuleItem,
  before: BlamedRule | undefined,
  change: RuleChange,
): Pick<BlamedRule, 'made' | 'changed'> {
  if (before === undefined) return { made: change, changed: change }
  return { made: before.made, changed: before.item.share === item.share ? before.changed : change }
}

/** A chain may hold one rule twice: the second gets a number. */
function distinct(identities: readonly string[]): readonly string[] {
  const seen = new Map<string, number>()
  return identities.map((identity) => {
    const count = (seen.get(identity) ?? 0) + 1
    seen.set(identity, count)
    return count === 1 ? identity : `${identity} #${count}`
  })
}

function goneBetween<Item extends RuleItem>(
  before: ChainEntries<Item>,
  after: ChainEntries<Item> | undefined,
): readonly BlamedRule<Item>[] {
  if (before === after) return []
  const kept = new Set(after?.identities)
  return before.blamed.filter((_, index) => !kept.has(before.identities[index] ?? ''))
}
