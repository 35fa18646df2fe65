import { isEqual } from '../model/json-value.js'
import type { ServicePortName } from '../model/names.js'
import type { PlanOptions, RuleItem, RulePlan, RulePlanner, RulesAt } from '../ports/dataplane.js'
import type { State } from '../state/state.js'

export type RuleDifference =
  | { readonly type: 'added'; readonly item: RuleItem }
  | { readonly type: 'removed'; readonly item: RuleItem }
  /** Nothing but its share: other endpoints came or went. 0..1; absent: every packet that reaches it. */
  | { readonly type: 'odds'; readonly item: RuleItem; readonly before?: number; readonly after?: number }

/** What differs in one chain, of the rules that one service port, or none, has in it. */
export interface ChainDifference {
  readonly table: string
  readonly chain: string
  readonly owner: ServicePortName | undefined
  /** In the order in which the rules stand, those that are gone where they stood. */
  readonly rules: readonly RuleDifference[]
}

/**
 * What differs between the rules of two points, chain by chain: by owner and then in the order of a listing. A rule that only
 * stands elsewhere in its chain is the same: where it stands, other service ports decide. Comments are kept in both, however
 * large the cluster was. Only service ports that differ are planned, unless what all rules depend on does.
 */
export function diffRules(
  planner: RulePlanner,
  { before, after }: { readonly before: RulesAt; readonly after: RulesAt },
  options: Omit<PlanOptions, 'keepComments'>,
): readonly ChainDifference[] {
  const planOf = (at: RulesAt): RulePlan => planner.plan(at, { ...options, keepComments: true })
  const [was, is] = [planOf(before), planOf(after)]
  const ids = isEqual(was.context, is.context)
    ? differingPorts(before.state, after.state)
    : new Set([...before.state.services.keys(), ...after.state.services.keys()])
  return differencesBetween(itemsOf(ids, before.state, was), itemsOf(ids, after.state, is))
}

function* itemsOf(
  ids: ReadonlySet<ServicePortName>,
  { services, endpoints }: RulesAt['state'],
  plan: RulePlan,
): Generator<RuleItem, void, undefined> {
  yield* plan.base.items
  for (const id of ids) {
    const port = services.get(id)
    if (port !== undefined && port.family === plan.family) yield* plan.ofService(port, endpoints.get(id) ?? []).items
  }
}

type Services = Pick<State, 'services' | 'endpoints'>

function differingPorts(before: Services, after: Services): ReadonlySet<ServicePortName> {
  const ids = [...new Set([...before.services.keys(), ...after.services.keys()])]
  return new Set(
    ids.filter(
      (id) =>
        !isEqual(before.services.get(id), after.services.get(id)) ||
        !isEqual(before.endpoints.get(id), after.endpoints.get(id)),
    ),
  )
}

function differencesBetween(before: Iterable<RuleItem>, after: Iterable<RuleItem>): readonly ChainDifference[] {
  const was = byChain(before)
  const is = byChain(after)
  const chains = [...new Set([...was.keys(), ...is.keys()])].toSorted()
  return chains.flatMap((key) => {
    const rules = differencesIn(was.get(key) ?? NONE, is.get(key) ?? NONE)
    const [first] = rules
    if (first === undefined) return []
    const { table, chain, owner } = first.item
    return [{ table, chain, owner, rules }]
  })
}

/** By identity, with a number where a chain holds one rule twice. */
type ItemsOfChain = ReadonlyMap<string, RuleItem>
const NONE: ItemsOfChain = new Map()

function byChain(items: Iterable<RuleItem>): ReadonlyMap<string, ItemsOfChain> {
  const chains = new Map<string, Map<string, RuleItem>>()
  for (const item of items) {
    const key = `${item.owner ?? ''} ${item.table} ${item.chain}`
    const chain = chains.get(key) ?? new Map<string, RuleItem>()
    chains.set(key, chain)
    let { identity } = item
    while (chain.has(identity)) identity += ' again'
    chain.set(identity, item)
  }
  return chains
}

function differencesIn(before: ItemsOfChain, after: ItemsOfChain): readonly RuleDifference[] {
  const removed = [...before].filter(([identity]) => !after.has(identity))
  const rest = [...after].flatMap(([identity, item]): readonly RuleDifference[] => {
    const old = before.get(identity)
    if (old === undefined) return [{ type: 'added', item }]
    const [was, is] = [old.share, item.share]
    if (was === is) return []
    return [{ type: 'odds', item, ...(was !== undefined && { before: was }), ...(is !== undefined && { after: is }) }]
  })
  return [...removed.map(([, item]): RuleDifference => ({ type: 'removed', item })), ...rest]
}
