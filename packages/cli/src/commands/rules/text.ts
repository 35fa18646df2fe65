import {
  type Dataplane,
  type Endpoint,
  endpointKey,
  type Front,
  type FrontPath,
  type PlannedItems,
  type PortEndpoints,
  type RuleItem,
  type RulePlan,
  type ServicePort,
  shortList,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { type Column, renderTable } from '../../output/table.js'

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

/** A line a front: what is sent to it, and where the rules lead that. The answer before the rules that give it. */
function frontLines(port: ServicePort, ways: readonly FrontPath[], style: Style): readonly string[] {
  const columns: readonly Column<FrontPath>[] = [
    { title: '', cell: ({ front }) => FRONTS[front.type] },
    { title: '', cell: ({ front }) => placeOf(front) },
    { title: '', cell: (way) => `-> ${wayText(way, style)}` },
  ]
  const [, ...lines] = renderTable(columns, ways, { indent: '  ' })
  return [style.bold(titleOf(port)), ...lines]
}

/** `shop/checkout:http TCP`. */
export const titleOf = ({ service, portName, protocol }: ServicePort): string =>
  `${service}${portName === '' ? '' : `:${portName}`} ${protocol}`

const FRONTS: { readonly [type in Front['type']]: string } = {
  clusterIP: 'cluster IP',
  externalIP: 'external IP',
  loadBalancerIP: 'load balancer',
  nodePort: 'node port',
}

const placeOf = ({ address, port }: Front): string =>
  address === undefined ? String(port) : endpointKey({ address, port })

function wayText({ endpoints, refused, fromHere, sourceRanges }: FrontPath, style: Style): string {
  const where = refused === undefined ? spreadText(endpoints) : style.red(REFUSED[refused])
  const from = sourceRanges === undefined ? '' : `, from ${sourceRanges.join(', ')} alone`
  const here =
    fromHere === undefined
      ? ''
      : `; from this node${fromHere.pods ? ' and from pods' : ''} ${spreadText(fromHere.endpoints)}`
  return `${where}${from}${here}`
}

const REFUSED = {
  rejected: 'rejected: no endpoints',
  dropped: 'dropped: no endpoints on this node',
} as const

/** More are counted. */
const MOST = 4

function spreadText(endpoints: readonly Endpoint[]): string {
  const count = endpoints.length
  const shown = shortList(endpoints.slice(0, MOST).map(endpointKey), MOST, count)
  const share = count > 1 ? ` (${percent(1 / count)} each)` : ''
  return count === 0 ? 'none' : `${shown}${share}`
}

/** `50%`, `33.3%`. */
export const percent = (share: number): string => `${Number((share * 100).toPrecision(3))}%`

interface ChainView {
  readonly table: string
  readonly chain: string
  /** What it is there for; empty where its name says it. */
  readonly meaning: string
  readonly rules: readonly RuleItem[]
}

/** A chain: its name and what it means, then its rules as a listing prints them. */
export function chainText({ table, chain, meaning, rules }: ChainView, style: Style): readonly string[] {
  const head = `${style.dim(table)} ${style.bold(chain)}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`
  return [head, ...rules.map(({ line }) => `  ${line}`)]
}
