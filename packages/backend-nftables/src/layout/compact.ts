import { displayName, type Endpoint, type Json, type ServicePort } from '@pointsman/core'
import {
  claimOf,
  targetOfStatement,
  type Chain,
  type Element,
  type Rule,
  type SetDeclaration,
  type TableParts,
} from '../table/table.js'
import { addressType, CHAINS, nodePortMatches, planBase, rule, SETS } from './kube-proxy-base.js'
import { KUBE_PROXY, planOf, serviceParts, type PortPlan } from './kube-proxy.js'
import type { Layout, LayoutContext } from './layout.js'
import { addressPortKey, dnatByMap, goto, isIn, PORT_KEY, setMark } from './statements.js'

/*
 * The table of kube-proxy with one difference: a service port that does no more than to spread over its endpoints has no chain.
 * Its endpoints are elements of one map, under the front and a number, the slot, that `numgen` picks. How many slots there are
 * to pick from, a rule has to say, so that the fronts of 1, 2, ... 16 endpoints are in a set each. A changed endpoint is one element
 * replaced, and the kernel has no verdict of it to follow through the table.
 *
 * The kernel looks up the front first, and then the slot. A commit may take effect between the two lookups. For this reason, elements are removed in
 * a later transaction than the one that adds their replacements (`removalStage`), and the slots of 4 endpoints differ from those of 5.
 *
 * Service ports with session affinity, with external traffic policy Local, or with more than 16 endpoints have chains, as in kube-proxy's table.
 */

/** The most endpoints of a service port without a chain. */
export const MOST_SLOTS = 16

const NAMES = {
  fronts: 'spread-fronts',
  masqueraded: 'spread-masqueraded',
  endpoints: 'spread-endpoints',
  nodePorts: 'spread-nodeports',
  nodePortEndpoints: 'spread-nodeport-endpoints',
} as const
const SPREAD = 'spread'
const SPREAD_NODE_PORT = 'spread-nodeport'
const frontsOf = (count: number): string => `spread-fronts-${count}`
const nodePortsOf = (count: number): string => `spread-nodeports-${count}`

/** The slots of each number of endpoints are a range of their own. */
const firstSlot = (count: number): number => count * 65_536

const COUNTS = Array.from({ length: MOST_SLOTS }, (_, index) => index + 1)

export const COMPACT: Layout = {
  ...KUBE_PROXY,
  name: 'compact',
  base,
  service,
  removalStage: (set) => (SLOTS.has(set) ? 2 : LEADING.has(set) ? 1 : 0),
}

const SLOTS: ReadonlySet<string> = new Set([NAMES.endpoints, NAMES.nodePortEndpoints])

/** What leads packets to slots or chains. */
const LEADING: ReadonlySet<string> = new Set([
  SETS.serviceIPs,
  SETS.serviceNodePorts,
  NAMES.fronts,
  NAMES.nodePorts,
  NAMES.masqueraded,
  ...COUNTS.flatMap((count) => [frontsOf(count), nodePortsOf(count)]),
])

function base(context: LayoutContext): TableParts {
  const { sets, chains, elements } = planBase(context)
  const key = addressPortKey(context)
  return {
    sets: [...sets, ...ownSets(context)],
    chains: [
      ...chains.map((chain) =>
        chain.name === CHAINS.services
          ? {
              ...chain,
              rules: [
                ...chain.rules,
                rule([isIn(key, NAMES.fronts), goto(SPREAD)]),
                rule([...nodePortMatches(context), isIn(PORT_KEY, NAMES.nodePorts), goto(SPREAD_NODE_PORT)]),
              ],
            }
          : chain,
      ),
      ...ownChains(context),
    ],
    elements,
  }
}

function ownSets({ family }: LayoutContext): readonly SetDeclaration[] {
  const address = addressType(family)
  const port = ['inet_proto', 'inet_service']
  const front = [address, ...port]
  const set = (name: string, key: readonly string[], comment: string): SetDeclaration => ({
    kind: 'set',
    name,
    key,
    comment,
  })
  const slots = (name: string, key: readonly string[], comment: string): SetDeclaration => ({
    kind: 'map',
    name,
    key: [...key, SLOT_TYPE],
    data: [address, 'inet_service'],
    comment,
  })
  return [
    set(NAMES.fronts, front, 'fronts of services without a chain'),
    set(NAMES.masqueraded, front, 'fronts from which all traffic is masqueraded'),
    ...COUNTS.map((count) => set(frontsOf(count), front, `fronts of ${endpointsText(count)}`)),
    slots(NAMES.endpoints, front, 'endpoints by front and slot'),
    set(NAMES.nodePorts, port, 'node ports of services without a chain'),
    ...COUNTS.map((count) => set(nodePortsOf(count), port, `node ports of ${endpointsText(count)}`)),
    slots(NAMES.nodePortEndpoints, port, 'endpoints by node port and slot'),
  ]
}

const endpointsText = (count: number): string => (count === 1 ? '1 endpoint' : `${count} endpoints`)

/** What `numgen` is in the key of a map. */
const SLOT_TYPE = 'integer'

function ownChains(context: LayoutContext): readonly Chain[] {
  const key = addressPortKey(context)
  const mark = setMark(context.masqueradeMark)
  const spread = (asked: Json, set: (count: number) => string, map: string): readonly Rule[] =>
    COUNTS.map((count) =>
      rule([isIn(asked, set(count)), dnatByMap(context, { key: asked, count, first: firstSlot(count), map })]),
    )
  return [
    {
      name: SPREAD,
      rules: [rule([isIn(key, NAMES.masqueraded), mark], 'masquerade'), ...spread(key, frontsOf, NAMES.endpoints)],
    },
    {
      name: SPREAD_NODE_PORT,
      rules: [rule([mark], 'masquerade'), ...spread(PORT_KEY, nodePortsOf, NAMES.nodePortEndpoints)],
    },
  ]
}

function service(port: ServicePort, all: readonly Endpoint[], context: LayoutContext): TableParts {
  const plan = planOf(port, all, context)
  const parts = serviceParts(plan)
  if (hasChain(plan)) return parts
  const { names, traffic } = plan
  const { cluster, local } = traffic.selection
  // What leads to a chain that spreads leads to slots instead. The chain of the source ranges stays.
  const targets = new Map<string, readonly Endpoint[]>([
    [names.cluster, cluster],
    [names.local, local],
    [names.external, cluster],
  ])
  return {
    sets: parts.sets,
    chains: parts.chains.filter(({ name }) => !targets.has(name)),
    elements: firstOfClaims(parts.elements).flatMap((element) => slotted(element, targets, plan)),
  }
}

/** An address may be given as a cluster IP and as an external one. */
const firstOfClaims = (elements: readonly Element[]): readonly Element[] =>
  [...new Map(elements.toReversed().map((element) => [claimOf(element), element])).values()].toReversed()

const hasChain = ({ port, traffic }: PortPlan): boolean =>
  port.affinitySeconds > 0 ||
  (traffic.takesExternal && port.externalTrafficPolicy === 'Local') ||
  traffic.selection.cluster.length > MOST_SLOTS ||
  traffic.selection.local.length > MOST_SLOTS

/** An element that leads to a chain, as those that lead to its endpoints. */
function slotted(
  element: Element,
  targets: ReadonlyMap<string, readonly Endpoint[]>,
  { port, names }: PortPlan,
): readonly Element[] {
  const { set, key, verdict } = element
  const target = verdict && targetOfStatement(verdict)
  const endpoints = target === undefined ? undefined : targets.get(target)
  if (endpoints === undefined) return [element]
  const count = endpoints.length
  // As the element of the map to chains: one owner has all of a front.
  const claim = claimOf(element)
  const isNodePort = set === SETS.serviceNodePorts
  return [
    { set: isNodePort ? NAMES.nodePorts : NAMES.fronts, key, claim },
    { set: isNodePort ? nodePortsOf(count) : frontsOf(count), key, comment: displayName(port), claim },
    ...(target === names.external && !isNodePort ? [{ set: NAMES.masqueraded, key, claim }] : []),
    ...endpoints.map((endpoint, index) => ({
      set: isNodePort ? NAMES.nodePortEndpoints : NAMES.endpoints,
      key: [...key, firstSlot(count) + index],
      data: [endpoint.address, endpoint.port],
      claim,
    })),
  ]
}
