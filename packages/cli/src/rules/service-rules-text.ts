import type { Dataplane, PlannedItems, PortEndpoints, RulePlan } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { chainText, type ChainView } from './chain-text.js'
import { frontLines } from './front-text.js'

export interface PortRules extends PortEndpoints {
  readonly dataplane: Dataplane
  readonly plan: RulePlan
  /** The service port's own. */
  readonly planned: PlannedItems
}

/** One service port: where its fronts lead, then its rules, chain by chain in the order in which a packet meets them. */
export function portRulesText({ port, endpoints, plan, ...rest }: PortRules, style: Style): readonly string[] {
  const chains = chainViews({ port, endpoints, plan, ...rest }).flatMap((view) => ['', ...chainText(view, style)])
  return [...frontLines(port, plan.fronts(port, endpoints), style), ...chains]
}

/** The rules of a service port by chain, in the order in which a packet meets the chains. */
function chainViews({ dataplane, planned, ...service }: PortRules): readonly ChainView[] {
  const meanings = dataplane.chainMeanings(service)
  const views = new Map<string, ChainView & { rules: ChainView['rules'][number][] }>()
  for (const { item } of dataplane.inReadingOrder(planned.items.map((item) => ({ item })))) {
    const { table, chain } = item
    const key = `${table} ${chain}`
    const view = views.get(key) ?? { table, chain, meaning: meanings.get(chain) ?? SHARED, rules: [] }
    view.rules.push(item)
    views.set(key, view)
  }
  return [...views.values()]
}

const SHARED = 'shared by all services'
