import {
  parseServicePortName,
  selectEndpoints,
  serviceName,
  servicePortsOf,
  type ChainOwner,
  type ChangeLogReader,
  type Dataplane,
  type DataplaneMetrics,
  type FormerChainOwner,
  type PortEndpoints,
  type RuleItem,
  type Seq,
  type ServiceName,
  type State,
} from '@pointsman/core'
import { AUDIT_FINDINGS, auditTable, toDo } from './audit/audit-table.js'
import { endpointNamedBy, isSpreadName, namedBy } from './layout/names.js'
import { affinityLists, listings, loadedOf, loadedTable, readListing } from './loaded-table.js'
import { cleanUp, failureLines, openDataplane, openRules } from './machine/open-dataplane.js'
import { LAYOUTS, layoutOf, planNftables, type NftPlan } from './plan/rule-plan.js'
import { NftItem, parseItem } from './table/item.js'
import { hookedRuleset, traceRuleset } from './trace/trace-ruleset.js'

const [DEFAULT_LAYOUT] = LAYOUTS

/**
 * kube-proxy's metrics of its nftables mode (pkg/proxy/metrics/metrics.go, RegisterMetrics). It counts no packets in this mode: its two nfacct counters are
 * of rules that only mode iptables has.
 */
const NFTABLES_METRICS: DataplaneMetrics = {
  syncs: [
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total',
      help: 'Transactions that failed, but for those that clean up.',
      value: ({ failures, cleanupFailures = 0 }) => failures - cleanupFailures,
    },
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total',
      help: 'Transactions that failed to remove what nothing leads to any more; the sync is tried again.',
      value: ({ cleanupFailures = 0 }) => cleanupFailures,
    },
  ],
  packets: [],
  readPackets: () => Promise.resolve({}),
}

/** kube-proxy's nftables mode. */
export const nftablesDataplane: Dataplane<NftItem> = {
  mode: 'nftables',
  layouts: [LAYOUTS[0].name, ...LAYOUTS.slice(1).map(({ name }) => name)],
  usesServiceCidrs: true,
  listsAllFamilies: true,
  listingFile: (family) => (family === 'IPv4' ? 'nft-ip.txt' : 'nft-ip6.txt'),
  loadedBy: 'nft 1.0.1 and later',
  isItemLine: (line) => /^add (?:rule|element) /.test(line),
  plan: planNftables,
  endpointOf(item, service) {
    const names = [item.chain, ...targetsOf(item)]
    for (const name of names) {
      const endpoint = DEFAULT_LAYOUT.endpointOf(name, service)
      if (endpoint !== undefined) return endpoint
    }
    return undefined
  },
  isServiceChain: (chain) => DEFAULT_LAYOUT.isServiceChain(chain),
  ownerOfChain,
  formerOwnerOfChain,
  chainMeanings: (service) => DEFAULT_LAYOUT.meanings(service),
  spreadOf(chain, { port, endpoints, node, config }) {
    const selection = selectEndpoints({ port, endpoints, node })
    return layoutOf(config).spreadOver(chain, port, selection).length
  },
  parseItem: (text) => parseItem(text, DEFAULT_LAYOUT.table('IPv4').name),
  targetOf: (item) => targetsOf(item)[0],
  serviceNamedBy,
  inReadingOrder: (items) =>
    // Sorting is stable: within a chain the order stays.
    items.toSorted(
      (a, b) =>
        compare(a.item.owner ?? '', b.item.owner ?? '') ||
        DEFAULT_LAYOUT.readingRank(a.item.chain) - DEFAULT_LAYOUT.readingRank(b.item.chain),
    ),
  readListing: async (text, source) => readListing(text, source, DEFAULT_LAYOUT.table('IPv4')),
  openRules,
  // Plans that this data plane is given are of its own making.
  loaded: (plan) => loadedOf(plan as NftPlan),
  listings,
  trace: (rules, question) => traceRuleset(loadedTable(rules).ruleset, question),
  traceable: (rules) => hookedRuleset(loadedTable(rules).ruleset),
  affinityLists: (rules) => affinityLists(loadedTable(rules)),
  findings: AUDIT_FINDINGS,
  audit: auditTable,
  // The sets of layout compact exist even without Services.
  layoutFound: (rules) =>
    [...(loadedTable(rules).table?.sets.keys() ?? [])].some(isSpreadName) ? 'compact' : undefined,
  toDo,
  open: openDataplane,
  // The rules rely on no setting of the machine.
  prepare: () => Promise.resolve([]),
  cleanup: cleanUp,
  metrics: NFTABLES_METRICS,
  failureLines,
}

const targetsOf = (item: object): readonly string[] => (item instanceof NftItem ? item.targets : [])

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The name says it, but for what was cut off, and for the hash. */
function ownerOfChain(
  chain: string,
  { services, endpoints }: Pick<State, 'services' | 'endpoints'>,
): ChainOwner | undefined {
  for (const port of services.values()) {
    if (!DEFAULT_LAYOUT.isOfService(chain, port)) continue
    const service: PortEndpoints = { port, endpoints: endpoints.get(port.id) ?? [] }
    if (!DEFAULT_LAYOUT.meanings(service).has(chain)) continue
    const endpoint = DEFAULT_LAYOUT.endpointOf(chain, service)
    return endpoint === undefined ? { port } : { port, endpoint }
  }
  return undefined
}

/** Of the records of the Service that the name says. */
function* formerOwnerOfChain(
  chain: string,
  { reader, toSeq }: { readonly reader: ChangeLogReader; readonly toSeq: Seq },
): Generator<Seq, FormerChainOwner | undefined, undefined> {
  const named = namedBy(chain)
  if (named === undefined) return undefined
  for (const record of reader.records({ types: ['object'], kinds: ['Service'], toSeq })) {
    if (record.type !== 'object') continue
    const { namespace = '', name } = record.object.metadata
    if (serviceName(namespace, name) !== named.service) continue
    const port = servicePortsOf(record.object).ports.find((each) => DEFAULT_LAYOUT.isOfService(chain, each))
    if (port !== undefined) {
      const identity = parseServicePortName(port.id)
      const endpoint = endpointNamedBy(chain)
      return endpoint === undefined ? identity : { ...identity, endpoint }
    }
    yield record.seq
  }
  return undefined
}

/** By the comment of an element, else by the name of a chain. */
function serviceNamedBy(item: RuleItem): ServiceName | undefined {
  const [, namespace, name] = /comment "([a-z0-9.-]+)\/([a-z0-9.-]+)(?::[^"]*)?"/.exec(item.text) ?? []
  if (namespace !== undefined && name !== undefined) return serviceName(namespace, name)
  for (const each of [item.chain, ...targetsOf(item)]) {
    const named = namedBy(each)
    if (named !== undefined) return named.service
  }
  return undefined
}
