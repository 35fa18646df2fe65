import {
  type AuditedState,
  type DetectLocal,
  displayName,
  type NodeInfo,
  nodeWithoutObject,
  parseAddress,
  parseCidr,
  type PlanOptions,
  type ProxyConfig,
} from '@pointsman/core'
import type { SavedTable } from 'node-iptables'
import { CHAINS, endpointChainName, serviceChainNames } from '../ruleset/layout.js'
import { type RulesetContext, rulesetContext } from '../ruleset/context.js'
import type { FindingType, TableFinding } from './finding.js'
import { inProse, itemsOf, linesOf } from './origin.js'

/** What rules are made from. */
export interface Settings {
  readonly wanted: AuditedState
  readonly options: PlanOptions
}

type Audit = (settings: Settings) => readonly TableFinding[]

/**
 * Findings with a cause in common, a setting of the proxy that is another than was given, become one. Which settings the
 * rules have, they say themselves; one is the cause of those findings that are not there when the audit is made with it.
 */
export function auditBySettings(tables: readonly SavedTable[], given: Settings, audit: Audit): readonly TableFinding[] {
  const findings = audit(given)
  if (findings.length === 0) return findings
  let causes: readonly OtherSetting[] = []
  let rest = findings
  for (const found of othersOf(tables, given)) {
    // Of several that exclude each other the one that explains most.
    const tried = found.map((other) => ({ other, left: audit(withAll([...causes, other], given)) }))
    const [best] = tried.toSorted((a, b) => a.left.length - b.left.length)
    if (best === undefined || rest.length - best.left.length < (best.other.least ?? 1)) continue
    causes = [...causes, { ...best.other, explains: rest.length - best.left.length }]
    rest = best.left
  }
  return [...causes.map(({ finding, explains = 0 }) => ({ ...finding, count: explains })), ...rest]
}

/** A setting that the rules seem to have. */
interface OtherSetting {
  readonly finding: TableFinding
  readonly apply: (settings: Settings) => Settings
  /** How many findings it has to explain, since a few may have another cause. Default: 1. */
  readonly least?: number
  /** How many it explains. */
  readonly explains?: number
}

const withAll = (others: readonly OtherSetting[], given: Settings): Settings =>
  others.reduce((settings, { apply }) => apply(settings), given)

const withConfig =
  (config: Partial<ProxyConfig>) =>
  ({ wanted, options }: Settings): Settings => ({
    wanted: { ...wanted, config: { ...wanted.config, ...config } },
    options,
  })

/** The settings in which the rules may differ from the given ones, each with its possibilities. */
function othersOf(tables: readonly SavedTable[], given: Settings): readonly (readonly OtherSetting[])[] {
  const { state, config } = given.wanted
  const context = rulesetContext(state, config, given.options)
  const rules = readerOf(tables)
  return [
    masqueradeBit(rules, context),
    localTraffic(rules, given, context),
    masqueradeAll(rules, config),
    nodePortAddresses(rules, given, context),
    localhostNodePorts(rules, config, context),
    zeroRanges(rules, given),
    nodeName(rules, given, context),
  ].filter((others) => others.length > 0)
}

interface RuleReader {
  /** The text of the rules of every chain of nat, or filter, whose name fits. */
  readonly lines: (table: 'nat' | 'filter', chain: string | RegExp) => readonly string[]
}

function readerOf(tables: readonly SavedTable[]): RuleReader {
  return {
    lines: (table, wanted) =>
      (tables.find((each) => each.table === table)?.chains ?? [])
        .filter(({ chain }) => (typeof wanted === 'string' ? chain === wanted : wanted.test(chain)))
        .flatMap(linesOf),
  }
}

function other(type: FindingType, detail: string, evidence: readonly string[]): TableFinding {
  const found = itemsOf('nat', evidence.slice(0, 1))
  return { type, table: '', chain: '', detail, ...(found.length > 0 && { found }) }
}

/** The one value that all texts have; undefined where they differ, or there is none. */
function only<Value>(values: readonly Value[]): Value | undefined {
  const [first, ...others] = new Set(values)
  return others.length === 0 ? first : undefined
}

function masqueradeBit({ lines }: RuleReader, { masqueradeMark }: RulesetContext): readonly OtherSetting[] {
  const evidence = lines('nat', CHAINS.markMasq)
  const mark = Number(only(evidence.map((line) => / --set-xmark (0x[0-9a-f]+)\//.exec(line)?.[1])))
  const bit = Math.log2(mark)
  if (!Number.isInteger(bit) || mark === masqueradeMark) return []
  const detail = `they use bit ${bit} (0x${mark.toString(16)}), and bit ${Math.log2(masqueradeMark)} was given; --iptables-masquerade-bit ${bit} gives theirs`
  return [{ finding: other('OTHER_MASQUERADE_BIT', detail, evidence), apply: withConfig({ masqueradeBit: bit }) }]
}

/** The heads of the chains that cluster IPs lead to: what is masqueraded on its way to one. */
const CLUSTER_IP_HEADS = / --comment "[^"]* cluster IP" .*-j KUBE-MARK-MASQ$/
/** In layout `classic` they stand in KUBE-SERVICES. */
const SPREADING = /^KUBE-(?:SVC|SVL)-|^KUBE-SERVICES$/

function localTraffic(
  { lines }: RuleReader,
  { wanted, options }: Settings,
  context: RulesetContext,
): readonly OtherSetting[] {
  const heads = lines('nat', SPREADING).filter((line) => CLUSTER_IP_HEADS.test(line))
  const ofPods = lines('nat', /^KUBE-(?:EXT|XLB)-/).filter((line) =>
    / "(?:pod traffic for|Redirect pods trying) /.test(line),
  )
  const asked = [
    ...heads.filter((line) => / ! -[si] /.test(line)).map((line) => / ! (-[si] \S+)/.exec(line)?.[1]),
    ...ofPods.map((line) => / (-[si] \S+)/.exec(line)?.[1]),
  ]
  const { state } = wanted
  const { ifLocal } = context.localTraffic ?? {}
  const given =
    ifLocal?.source !== undefined
      ? `-s ${ifLocal.source.network}`
      : ifLocal?.inInterface !== undefined
        ? `-i ${ifLocal.inInterface.name}`
        : undefined
  const found = only(asked)
  if (found === given || (asked.length > 0 && found === undefined)) return []
  // Without a head that asks for anything the rules may be those of a proxy for which no traffic is local.
  if (found === undefined && heads.length > 0) return []
  const detectLocal = detectLocalOf(found)
  const podCidr = state.node?.podCIDRs.find((text) => parseCidr(text)?.family === options.family)
  const isPodCidr = detectLocal.mode === 'ClusterCIDR' && detectLocal.cidrs[0] === podCidr
  const detail = `theirs is ${describeLocal(found)}${isPodCidr ? `, which is the pod CIDR of ${state.node?.name ?? ''} (detectLocalMode NodeCIDR)` : ''}, and ${describeLocal(given)} was given${flagFor(detectLocal, isPodCidr)}`
  const finding = other('OTHER_LOCAL_TRAFFIC', detail, [...heads, ...ofPods])
  // One rule that is not there may have been deleted.
  return [{ finding, apply: withConfig({ detectLocal }), least: found === undefined ? 2 : 1 }]
}

function detectLocalOf(asked: string | undefined): DetectLocal {
  if (asked === undefined) return { mode: 'None' }
  const value = asked.slice(3)
  if (asked.startsWith('-s ')) return { mode: 'ClusterCIDR', cidrs: [value] }
  return value.endsWith('+')
    ? { mode: 'InterfaceNamePrefix', prefix: value.slice(0, -1) }
    : { mode: 'BridgeInterface', bridge: value }
}

function describeLocal(asked: string | undefined): string {
  if (asked === undefined) return 'none, so that no traffic counts as local'
  return asked.startsWith('-s ') ? asked.slice(3) : `the interface ${asked.slice(3)}`
}

function flagFor(detectLocal: DetectLocal, isPodCidr: boolean): string {
  if (isPodCidr) return '; --detect-local-mode NodeCIDR gives theirs'
  switch (detectLocal.mode) {
    case 'ClusterCIDR':
      return `; --cluster-cidr ${detectLocal.cidrs.join(',')} gives theirs`
    case 'BridgeInterface':
      return `; --detect-local-mode BridgeInterface --pod-bridge-interface ${detectLocal.bridge} gives theirs`
    case 'InterfaceNamePrefix':
      return `; --detect-local-mode InterfaceNamePrefix --pod-interface-name-prefix ${detectLocal.prefix} gives theirs`
    case 'NodeCIDR':
    case 'None':
      return ''
  }
}

function masqueradeAll({ lines }: RuleReader, { masqueradeAll: given }: ProxyConfig): readonly OtherSetting[] {
  const heads = lines('nat', SPREADING).filter((line) => CLUSTER_IP_HEADS.test(line))
  const all = only(heads.map((line) => !/ ! -[si] /.test(line)))
  if (all === undefined || all === given) return []
  const detail = all
    ? 'they masquerade all traffic to cluster IPs, and that was not asked for; --masquerade-all gives theirs'
    : 'they masquerade traffic to cluster IPs only where it is not local, and masqueradeAll was given'
  return [{ finding: other('OTHER_MASQUERADE_ALL', detail, heads), apply: withConfig({ masqueradeAll: all }) }]
}

function nodePortAddresses(
  { lines }: RuleReader,
  { options, wanted }: Settings,
  { nodePortAddresses: given }: RulesetContext,
): readonly OtherSetting[] {
  const evidence = lines('nat', CHAINS.services).filter((line) => line.endsWith(` -j ${CHAINS.nodePorts}`))
  if (evidence.length === 0) return []
  const listed = evidence.flatMap((line) => / -d (\S+) /.exec(/ ! -d /.test(line) ? '' : line)?.[1] ?? [])
  const isAll = listed.length === 0
  if (isAll && given === 'all') return []
  const addresses = listed.flatMap((text) => parseAddress(text.replace(/\/\d+$/, ''))?.text ?? [])
  const cidrs = addresses.map((address) => `${address}/${options.family === 'IPv4' ? 32 : 128}`)
  const describe = (list: 'all' | readonly string[]): string =>
    list === 'all' ? 'all of the node' : list.length === 0 ? 'none' : list.join(', ')
  const detail = `theirs are ${describe(isAll ? 'all' : addresses)}, and ${describe(given)} follows from what was given${isAll ? '' : `; --nodeport-addresses ${cidrs.join(',')} --node-address ${addresses.join(' --node-address ')} gives theirs`}`
  const apply = (settings: Settings): Settings => {
    const changed = withConfig({ nodePortAddresses: isAll ? 'all' : cidrs })(settings)
    const known = settings.options.interfaceAddresses ?? wanted.state.node?.addresses ?? []
    return { ...changed, options: { ...changed.options, interfaceAddresses: [...new Set([...known, ...addresses])] } }
  }
  return [{ finding: other('OTHER_NODE_PORT_ADDRESSES', detail, evidence), apply }]
}

function localhostNodePorts(
  { lines }: RuleReader,
  { localhostNodePorts: configured }: ProxyConfig,
  { family }: RulesetContext,
): readonly OtherSetting[] {
  if (family !== 'IPv4') return []
  const evidence = lines('nat', CHAINS.services).filter((line) => line.endsWith(` -j ${CHAINS.nodePorts}`))
  const theirs = only(evidence.map((line) => !line.includes(' ! -d 127.0.0.0/8 ')))
  if (theirs === undefined || theirs === configured) return []
  const detail = `theirs is ${theirs}, and ${configured} was given; --iptables-localhost-nodeports ${theirs} gives theirs`
  const finding = other('OTHER_LOCALHOST_NODE_PORTS', detail, evidence)
  return [{ finding, apply: withConfig({ localhostNodePorts: theirs }) }]
}

/** Source ranges that hold every address: 1.36 makes no firewall of them, the releases before one that lets everyone in. */
function zeroRanges({ lines }: RuleReader, { wanted, options }: Settings): readonly OtherSetting[] {
  const sources = new Map<string, string[]>()
  const evidence = lines('nat', /^KUBE-FW-/).filter((line) => line.includes(' loadbalancer IP" -j KUBE-EXT-'))
  for (const line of evidence) {
    const [, chain = '', source] = /^-A (\S+) (?:-s (\S+) )?/.exec(line) ?? []
    sources.set(chain, [...(sources.get(chain) ?? []), source ?? ALL_ADDRESSES[options.family]])
  }
  const services = new Map(wanted.state.services)
  const names: string[] = []
  for (const port of wanted.state.services.values()) {
    const ranges = sources.get(serviceChainNames(port).firewall) ?? []
    if (port.family !== options.family || port.loadBalancerSourceRanges.length > 0) continue
    if (!ranges.includes(ALL_ADDRESSES[options.family])) continue
    const vips = port.loadBalancerVIPs.map((vip) => `${vip}/${options.family === 'IPv4' ? 32 : 128}`)
    services.set(port.id, { ...port, loadBalancerSourceRanges: ranges.filter((range) => !vips.includes(range)) })
    names.push(displayName(port))
  }
  if (names.length === 0) return []
  const apply = (settings: Settings): Settings => ({
    ...settings,
    wanted: { ...settings.wanted, state: { ...settings.wanted.state, services } },
  })
  const finding = other('ZERO_RANGE_FIREWALL', `it is of ${inProse(names)}`, evidence)
  return [{ finding, apply }]
}

const ALL_ADDRESSES = { IPv4: '0.0.0.0/0', IPv6: '::/0' } as const

/** By which endpoints the rules take for those of their node: the KUBE-SVL- and KUBE-XLB- chains lead to them. */
function nodeName(
  { lines }: RuleReader,
  { wanted }: Settings,
  { node, layout }: RulesetContext,
): readonly OtherSetting[] {
  const { state } = wanted
  const counts = new Map<string, number>()
  const led = new Set(
    lines('nat', /^KUBE-(?:SVL|XLB)-/).flatMap(
      (line) => /^-A (\S+) .* -j (KUBE-SEP-\S+)$/.exec(line)?.slice(1).join(' ') ?? [],
    ),
  )
  let local = 0
  for (const port of state.services.values()) {
    const { local: chain } = serviceChainNames(port, layout)
    for (const endpoint of state.endpoints.get(port.id) ?? []) {
      if (endpoint.nodeName !== undefined && endpoint.nodeName === node?.name) local += 1
      if (led.size === 0 || endpoint.nodeName === undefined) continue
      if (led.has(`${chain} ${endpointChainName(port, endpoint)}`))
        counts.set(endpoint.nodeName, (counts.get(endpoint.nodeName) ?? 0) + 1)
    }
  }
  const [name] = [...counts].toSorted((a, b) => b[1] - a[1])[0] ?? []
  if (name !== undefined) return name === node?.name ? [] : [ofNode(name, { wanted, given: node })]
  if (node === undefined || local === 0) return []
  const detail = `they count no endpoint as local, and ${local === 1 ? '1 endpoint is' : `${local} endpoints are`} on ${node.name}: kube-proxy runs under a name that is not the Node's (--hostname-override), or they are the rules of a node without endpoints`
  return [{ finding: other('OTHER_NODE_NAME', detail, []), apply: asNode(nodeWithoutObject(NOBODY)) }]
}

function ofNode(
  name: string,
  { wanted, given }: { readonly wanted: AuditedState; readonly given: NodeInfo | undefined },
): OtherSetting {
  const was = given === undefined ? 'no node was given' : `${given.name} was given`
  const detail = `they count the endpoints on ${name} as local, and ${was}: they are the rules of ${name}, or kube-proxy runs under that name (--hostname-override); --node ${name} gives theirs`
  const node = wanted.state.nodes?.get(name) ?? nodeWithoutObject(name)
  return { finding: other('OTHER_NODE_NAME', detail, []), apply: asNode(node) }
}

/** No node can be called so. */
const NOBODY = '-'

const asNode =
  (node: NodeInfo) =>
  ({ wanted, options }: Settings): Settings => ({
    wanted: { ...wanted, state: { ...wanted.state, node }, config: { ...wanted.config, nodeName: node.name } },
    options,
  })
