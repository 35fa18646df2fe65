import {
  createEditFinder,
  createStateFold,
  configOfRecord,
  isEqual,
  NO_SEQ,
  selectEndpoints,
  watchEventOf,
  inOverlapOrder,
  type ConfigRecord,
  type Endpoint,
  type KubernetesObject,
  type LogRecord,
  type NodeInfo,
  type ObjectRecord,
  type ProxyConfig,
  type ServiceEdit,
  type ServicePort,
  type ServicePortName,
} from '@pointsman/core'
import { type OwnedRule, ownedRules } from '../render/owned-rules.js'
import { type RulesetContext, rulesetContext, type RulesetOptions } from '../ruleset/context.js'
import { planBase } from '../ruleset/plan-base.js'
import { planService } from '../ruleset/plan-service.js'
import type { BaseRules, ServiceRules } from '../ruleset/ruleset.js'
import { type BlameEntries, createBlameEntries } from './blame-entries.js'
import type { BlamedRule, Cause, GoneRule, PortMoment } from './rule-change.js'

export interface RuleHistoryOptions {
  /** Comments are always there: that a cluster grows large, and rules lose them, is nobody's doing. */
  readonly options: Omit<RulesetOptions, 'keepComments'>
  /** In force until a record says otherwise. */
  readonly config: ProxyConfig
  /** The node that the rules are for; absent: the only one. */
  readonly nodeName?: string | undefined
  /** What is there before the first record: of a log whose beginning was pruned. */
  readonly objects?: Iterable<KubernetesObject>
  /** Which rules are followed; absent: all. The records of what is not asked about are not held. */
  readonly accepts?: (rule: OwnedRule) => boolean
}

/** The rules of one node, record by record, each with the record that it comes from. */
export interface RuleHistory {
  /** Takes the next record, and gives the rules that it took away. */
  take(record: LogRecord): readonly GoneRule[]
  /** The rules after the last record, in the order of a save. */
  rules(): readonly BlamedRule[]
  /** The change of a Service that a change of its slice follows from; undefined where none came between. */
  editBehind(cause: Cause): ServiceEdit | undefined
}

/**
 * Follows the rules of everything that the records are about: given the records of one Service, its slices, the Node and
 * the configuration, the rules of that Service are those that all records would have made.
 */
export function createRuleHistory({ options, nodeName, ...given }: RuleHistoryOptions): RuleHistory {
  const { family } = options
  const { accepts = () => true } = given
  const rulesOf = (base: BaseRules, services: readonly ServiceRules[]): readonly OwnedRule[] =>
    [...ownedRules({ family, base, services })].filter(accepts)
  const fold = createStateFold({ ...(nodeName !== undefined && { nodeName }) })
  const versions = new Map<string, ObjectRecord>()
  const edits = createEditFinder()
  const services = new Map<ServicePortName, FollowedPort>()
  const baseRules = createBlameEntries()
  let config = given.config
  let isConfigured = given.objects !== undefined
  let context = planContext()
  let base = planBase(context)

  function planContext(): RulesetContext {
    const { node = nodeWithoutObject(nodeName), ...state } = fold.state
    return rulesetContext({ ...state, ...(node && { node }) }, config, { ...options, keepComments: true })
  }

  const replanPort = (id: ServicePortName, { cause, always }: Replanning): readonly GoneRule[] => {
    const followed = services.get(id)
    const after = momentOf(fold.state.services.get(id), fold.state.endpoints.get(id) ?? [], context)
    const before = followed?.moment
    if (after?.port.family !== family) {
      services.delete(id)
      return followed?.entries.replace([], { cause, ...(before && { before }) }) ?? []
    }
    const entries = followed?.entries ?? createBlameEntries()
    if (followed !== undefined && !always && givesSameRules(followed.moment, after)) {
      services.set(id, { ...followed, moment: after })
      return []
    }
    const plan = planService(after.port, after.endpoints, context)
    services.set(id, { moment: after, plan, entries })
    return entries.replace(rulesOf(NO_BASE, [plan]), { cause, ...(before && { before }), after })
  }

  const replanAll = (cause: Cause, changed: Iterable<ServicePortName> = []): readonly GoneRule[] => {
    context = planContext()
    base = planBase(context)
    const ids = new Set([...services.keys(), ...changed])
    return [
      ...baseRules.replace(rulesOf(base, []), { cause }),
      ...[...ids].flatMap((id) => replanPort(id, { cause, always: true })),
    ]
  }

  const apply = (cause: Cause): readonly GoneRule[] => {
    const { changed, nodeChanged } = fold.apply()
    if (nodeChanged) return replanAll(cause, changed)
    return [...changed].flatMap((id) => replanPort(id, { cause, always: false }))
  }

  const takeConfig = (record: ConfigRecord): readonly GoneRule[] => {
    config = configOfRecord(record.config)
    // What is there whatever services there are came with the first configuration.
    if (!isConfigured) baseRules.clear()
    isConfigured = true
    return replanAll({ type: 'config', record })
  }

  const takeObject = (record: ObjectRecord): readonly GoneRule[] => {
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
      const ports = inOverlapOrder([...services.values()].map(({ moment }) => moment.port))
      const plans = ports.flatMap(({ id }) => services.get(id)?.plan ?? [])
      const places = new Map<string, number>()
      return rulesOf(base, plans).flatMap((owned) => {
        const { table, chain, owner } = owned
        const entries = owner === undefined ? baseRules : services.get(owner)?.entries
        const key = `${owner ?? ''} ${table} ${chain}`
        const place = places.get(key) ?? 0
        places.set(key, place + 1)
        return entries?.ofChain(owned)[place] ?? []
      })
    },
  }
}

interface FollowedPort {
  readonly moment: PortMoment
  readonly plan: ServiceRules
  readonly entries: BlameEntries
}

interface Replanning {
  readonly cause: Cause
  /** Whether or not the service port and its endpoints are what they were. */
  readonly always: boolean
}

const START: Cause = { type: 'start' }
const NO_BASE: BaseRules = { chains: [], jumps: [] }

function momentOf(
  port: ServicePort | undefined,
  endpoints: readonly Endpoint[],
  { node }: RulesetContext,
): PortMoment | undefined {
  return port && { port, endpoints, selection: selectEndpoints({ port, endpoints, node }) }
}

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

/** A node of which nothing is known yet but its name. */
const nodeWithoutObject = (name: string | undefined): NodeInfo | undefined =>
  name === undefined ? undefined : { name, addresses: [], podCIDRs: [], zone: '', taints: [], deleting: false }

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
