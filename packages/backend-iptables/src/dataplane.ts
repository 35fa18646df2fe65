import {
  endpointText,
  inOverlapOrder,
  RuleTextError,
  serviceName,
  TraceError,
  type Dataplane,
  type DataplaneMetrics,
  type Endpoint,
  type LoadedRules,
  type PlannedItems,
  type PlanOptions,
  type PortEndpoints,
  type RulePlan,
  type RulesAt,
  type ServicePort,
  type Trace,
  type TraceQuestion,
  type TraceableRules,
} from '@pointsman/core'
import { IptablesParseError, parseRestoreLine, runProcess, saveLinesOf, type Run } from 'node-iptables'
import { auditNotes, auditRules } from './audit/audit-rules.js'
import { dependentRules } from './audit/dependents.js'
import { AUDIT_FINDINGS, toDo } from './audit/finding.js'
import { otherOriginOf } from './audit/origin.js'
import { formerOwnerOfChain, ownerOfChain } from './chain-owner.js'
import { listings } from './listed-rules.js'
import { LoadedTables, loadedTables, readListing, recentListsIn } from './loaded-tables.js'
import { removeIpvsLeftovers } from './machine/ipvs-leftovers.js'
import { cleanUp, failureLines, openDataplane, openRules, prepareMachine } from './machine/open-dataplane.js'
import { OwnedRule, ownedRules, savedTablesOf } from './render/owned-rules.js'
import { INVALID_DROPPED, LOCALHOST_ACCEPTED, planBase } from './ruleset/base-rules.js'
import { frontPaths, rulesetContext, selectionIn } from './ruleset/context.js'
import {
  CLASSIC,
  endpointChainName,
  isEndpointChain,
  isServiceChain,
  layoutOf,
  LAYOUTS,
  READING_ORDER,
  serviceChainNames,
} from './ruleset/layout.js'
import type { BaseRules, Ruleset, ServiceRules } from './ruleset/ruleset.js'
import { planService } from './ruleset/service-rules.js'
import { hookedTables, tracePacket } from './trace/trace-packet.js'

/** kube-proxy has no rules in mangle but for its canary, and reports these two alone. */
const TABLES = ['filter', 'nat']

/** kube-proxy's metrics of its iptables mode. */
const IPTABLES_METRICS: DataplaneMetrics = {
  syncs: [
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
      help: 'Restores that failed.',
      value: ({ failures }) => failures,
    },
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
      help: 'Restores of only what had changed that failed.',
      value: ({ partialFailures, full, failures }) => partialFailures ?? (full ? 0 : failures),
    },
    {
      type: 'gauge',
      name: 'kubeproxy_sync_proxy_rules_iptables_total',
      help: 'Rules of ours in force after the last sync.',
      tables: TABLES,
      value: ({ tables }, table) => tables[table]?.rules ?? 0,
    },
    {
      type: 'gauge',
      name: 'kubeproxy_sync_proxy_rules_iptables_last',
      help: 'Rules that the last sync wrote.',
      tables: TABLES,
      value: ({ tables }, table) => tables[table]?.written ?? 0,
    },
  ],
  packets: [
    {
      name: 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total',
      help: 'Packets of connections that conntrack calls invalid, which were dropped.',
      key: INVALID_DROPPED,
    },
    {
      name: 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total',
      help: 'Packets to node ports on loopback addresses that were accepted.',
      key: LOCALHOST_ACCEPTED,
    },
  ],
  readPackets: () => readNfacct(runProcess),
}

/** Packets that the kernel's accounting objects have counted, by object name, as nfacct(8) lists them; none without it. */
async function readNfacct(run: Run): Promise<Readonly<Record<string, number>>> {
  const { exitCode, stdout } = await run({ argv: ['nfacct', 'list'], timeoutMs: TIMEOUT_MS })
  return exitCode === 0 ? parseNfacct(stdout) : {}
}

/** `{ pkts = 00000000000000000007, bytes = 00000000000000000420 } = ct_state_invalid_dropped_pkts;` */
export function parseNfacct(text: string): Readonly<Record<string, number>> {
  const counters = text.matchAll(/\{ pkts = (\d+), bytes = \d+[^}]*\} = ([^;\s]+);/g)
  return Object.fromEntries([...counters].map(([, packets = '', name = '']) => [name, Number(packets)]))
}

const TIMEOUT_MS = 5000

/** kube-proxy's iptables mode. */
export const iptablesDataplane: Dataplane<OwnedRule> = {
  mode: 'iptables',
  layouts: [LAYOUTS[0].name, ...LAYOUTS.slice(1).map(({ name }) => name)],
  listingFile: (family) => (family === 'IPv4' ? 'iptables-save.txt' : 'ip6tables-save.txt'),
  loadedBy: 'iptables 1.6.2 and later',
  isItemLine: (line) => line.startsWith('-A '),
  plan: planIptables,
  endpointOf,
  isServiceChain,
  ownerOfChain,
  formerOwnerOfChain,
  chainMeanings,
  spreadOf(chain, { port, endpoints, node, config }) {
    const names = serviceChainNames(port, layoutOf(config))
    if (chain !== names.cluster && chain !== names.local) return 0
    const { cluster, local } = selectionIn(layoutOf(config), { port, endpoints, node })
    return chain === names.cluster ? cluster.length : local.length
  },
  parseItem,
  targetOf: (item) => targetOf(item),
  serviceNamedBy(item) {
    const comment = ruleOf(item)?.matches.find((match) => match.type === 'comment')?.comment ?? ''
    // Comments begin with the service port that a rule is for.
    const [, namespace, name] = /^([a-z0-9.-]+)\/([a-z0-9.-]+)(?::\S+)?(?: |$)/.exec(comment) ?? []
    return namespace === undefined || name === undefined ? undefined : serviceName(namespace, name)
  },
  inReadingOrder,
  readListing,
  listings,
  openRules,
  loaded: (plan) => new LoadedTables(savedTablesOf(rulesetOf(plan.parts())), { family: plan.family }),
  trace: traceTables,
  traceable,
  affinityLists: (rules) => recentListsIn(loadedTables(rules).tables),
  dependents: dependentRules,
  findings: AUDIT_FINDINGS,
  audit: auditRules,
  layoutFound: (rules) => otherOriginOf(loadedTables(rules).tables)?.layout,
  auditNotes,
  toDo,
  open: openDataplane,
  prepare: prepareMachine,
  cleanup: cleanUp,
  cleanupOtherModes: ({ dryRun }, { signal }) =>
    removeIpvsLeftovers({ run: runProcess, dryRun, signal, virtualServers: 'all' }),
  metrics: IPTABLES_METRICS,
  failureLines,
}

/** The rules of one owner, with what they were made from. */
class IptablesPart implements PlannedItems<OwnedRule> {
  readonly port: ServicePort | undefined
  readonly #rules: BaseRules | ServiceRules

  constructor(port: ServicePort | undefined, rules: BaseRules | ServiceRules) {
    this.port = port
    this.#rules = rules
  }

  get items(): readonly OwnedRule[] {
    return [...ownedRules(rulesetOf([this]))]
  }

  get base(): BaseRules | undefined {
    return 'jumps' in this.#rules ? this.#rules : undefined
  }

  get service(): ServiceRules | undefined {
    return 'jumps' in this.#rules ? undefined : this.#rules
  }
}

/** Follows a packet. That it is for no Service holds only if no other program takes it before the rules, or instead of them. */
function traceTables(rules: LoadedRules, question: TraceQuestion): Trace {
  const loaded = loadedTables(rules)
  return judgedTrace(loaded, tracePacket({ ...question, tables: loaded.tables }))
}

/** The same where rules of other listings are followed as well. */
function traceable(rules: LoadedRules): TraceableRules {
  const loaded = loadedTables(rules)
  return hookedTables(loaded.tables, {
    variant: loaded.kind,
    judged: (trace, others) => judgedTrace(loaded, trace, others),
  })
}

function judgedTrace({ tables, isPart }: LoadedTables, trace: Trace, others: readonly TraceableRules[] = []): Trace {
  const missing = isPart ? chainWithoutRules(trace) : undefined
  if (missing !== undefined)
    throw new TraceError(
      'PART_OF_RULES',
      `the packet comes to ${missing}, and the text has no rule of it: give the whole output of iptables-save`,
    )
  const unserved = trace.ways.map(({ end }) => end).find((end) => end.fate === 'no-service')
  if (unserved?.fate !== 'no-service') return trace
  if (others.some((other) => other.tables.some((table) => /^ip6? kube-proxy$/.test(table)))) return trace
  const origin = otherOriginOf(tables)
  if (origin?.type !== 'OTHER_PROXY') return trace
  const message = `no rules of kube-proxy are here, and ${origin.detail}; it is taken not to serve ${unserved.address}`
  return { ...trace, assumptions: [...trace.assumptions, { code: 'OTHER_PROXY', message }] }
}

/** A chain of a service port that the packet comes to and that has no rules, as the proxy writes none. */
function chainWithoutRules({ ways }: Trace): string | undefined {
  for (const { steps } of ways)
    for (const step of steps) {
      if (step.type !== 'rule' || (step.effect.type !== 'jump' && step.effect.type !== 'goto')) continue
      if (step.effect.rules === 0 && isServiceChain(step.effect.chain)) return step.effect.chain
    }
  return undefined
}

const NO_BASE: BaseRules = { chains: [], jumps: [] }

function rulesetOf(parts: Iterable<PlannedItems>): Ruleset {
  const own = [...parts].filter((part) => part instanceof IptablesPart)
  const services = new Map(own.flatMap(({ port, service }) => (port && service ? [[port.id, service] as const] : [])))
  return {
    family: own.find(({ port }) => port !== undefined)?.port?.family ?? 'IPv4',
    base: own.find(({ base }) => base !== undefined)?.base ?? NO_BASE,
    services: inOverlapOrder(own.flatMap(({ port }) => port ?? [])).flatMap(({ id }) => services.get(id) ?? []),
  }
}

function planIptables({ state, config }: RulesAt, options: PlanOptions): RulePlan<OwnedRule> {
  const context = rulesetContext(state, config, options)
  const base = new IptablesPart(undefined, planBase(context))
  const ofService = (port: ServicePort, endpoints: readonly Endpoint[]): IptablesPart =>
    new IptablesPart(port, planService(port, endpoints, context))
  return {
    family: options.family,
    context,
    base,
    places: savedTablesOf(rulesetOf([base])).flatMap(({ table, chains }) =>
      chains.map(({ chain }) => ({ table, chain })),
    ),
    ofService,
    *parts() {
      yield base
      for (const port of state.services.values())
        if (port.family === options.family) yield ofService(port, state.endpoints.get(port.id) ?? [])
    },
    inOrder: (parts) => ownedRules(rulesetOf(parts)),
    listing: (parts) => saveLinesOf(savedTablesOf(rulesetOf(parts))),
    fronts: (port, endpoints) => frontPaths(port, endpoints, context),
  }
}

const ruleOf = (item: object): OwnedRule['rule'] | undefined => (item instanceof OwnedRule ? item.rule : undefined)

function targetOf(item: object): string | undefined {
  const target = ruleOf(item)?.target
  return target?.type === 'jump' ? target.chain : undefined
}

function endpointOf(item: { readonly chain: string }, { port, endpoints }: PortEndpoints): Endpoint | undefined {
  const wanted = [item.chain, targetOf(item) ?? ''].find(isEndpointChain)
  return wanted === undefined ? undefined : endpoints.find((endpoint) => endpointChainName(port, endpoint) === wanted)
}

function chainMeanings({ port, endpoints }: PortEndpoints): ReadonlyMap<string, string> {
  const { cluster, local, external, firewall } = serviceChainNames(port)
  return new Map([
    [cluster, 'spreads over its endpoints'],
    [local, 'spreads over its endpoints on this node'],
    [external, 'takes what comes by an external address or a node port'],
    [firewall, 'lets the source ranges of the load balancer on'],
    [
      serviceChainNames(port, CLASSIC).local,
      'takes what comes from outside, and spreads over its endpoints on this node',
    ],
    ...endpoints.map((endpoint) => [endpointChainName(port, endpoint), endpointText(endpoint)] as const),
  ])
}

/** A rule as iptables-save prints it, with or without `-A` and counters, as people paste it. */
function parseItem(text: string): OwnedRule {
  const trimmed = text.trim()
  const line = /^(?:\[|-A )/.test(trimmed) ? trimmed : `-A ${trimmed}`
  try {
    const parsed = parseRestoreLine(line)
    if (parsed.type === 'append') return new OwnedRule({ table: 'filter', ...parsed, owner: undefined })
  } catch (error) {
    if (!(error instanceof IptablesParseError)) throw error
    throw notARule(trimmed, error.message)
  }
  throw notARule(trimmed, 'it appends none')
}

const notARule = (text: string, why: string): RuleTextError =>
  new RuleTextError(
    `${JSON.stringify(text)} is no rule (${why}): paste a line of iptables-save, such as '-A KUBE-SERVICES -d 10.96.0.10/32 ...'`,
  )

/**
 * What captures a packet, what guards and spreads it, its endpoints as it is spread over them, and then filter.
 */
function inReadingOrder<Each extends { readonly item: object }>(rules: readonly Each[]): readonly Each[] {
  const owned = rules.flatMap((rule) => (rule.item instanceof OwnedRule ? [{ rule, item: rule.item }] : []))
  const endpoints = endpointChains(owned.map(({ item }) => item))
  const places = owned.map(({ rule, item }) => ({
    rule,
    item,
    rank: rankOf(item),
    endpoint: endpoints.get(item.chain) ?? 0,
  }))
  // Sorting is stable: within a chain the order stays.
  return places
    .toSorted(
      (a, b) =>
        compare(a.item.owner ?? '', b.item.owner ?? '') ||
        a.rank - b.rank ||
        a.endpoint - b.endpoint ||
        (a.rank === NO_SERVICE ? 0 : compare(a.item.chain, b.item.chain)),
    )
    .map(({ rule }) => rule)
}

const NO_SERVICE = -1

function rankOf({ table, chain, owner }: OwnedRule): number {
  if (owner === undefined) return NO_SERVICE
  return table === 'nat' ? READING_ORDER.findIndex((prefix) => chain.startsWith(prefix)) : READING_ORDER.length
}

/** Their names are hashes, which have no order for people: that of the rules that lead to them is the addresses'. */
function endpointChains(rules: readonly OwnedRule[]): ReadonlyMap<string, number> {
  const order = new Map<string, number>()
  for (const rule of rules) {
    const chain = targetOf(rule) ?? ''
    if (isEndpointChain(chain) && !order.has(chain)) order.set(chain, order.size)
  }
  return order
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
