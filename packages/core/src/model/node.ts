import { cidrContains, parseAddress, parseCidr, type Cidr, type IpAddress, type IpFamily } from './address.js'
import { fieldReader, findingsOf, type Diagnostic, type Findings } from './diagnostic.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import { assertNever } from './language.js'
import type { DetectLocal, ProxyConfig } from './proxy-config.js'

export interface NodeResult {
  readonly node: NodeInfo
  readonly diagnostics: readonly Diagnostic[]
}

/** What the proxy uses of a Node object. Never throws: what cannot be read is left out with a diagnostic. */
export function nodeInfoOf(node: KubernetesObject): NodeResult {
  const findings = findingsOf(node)
  const root = fieldReader(findings, '')
  const metadata = fieldReader(findings, 'metadata')
  const spec = root.record(node['spec'], 'spec') ?? {}
  const status = root.record(node['status'], 'status') ?? {}
  const labels = metadata.record(node.metadata['labels'], 'labels')
  const zone = fieldReader(findings, 'metadata.labels').text(labels?.[ZONE_LABEL], ZONE_LABEL) ?? ''
  const deletionTimestamp = metadata.text(node.metadata['deletionTimestamp'], 'deletionTimestamp')
  const info = {
    name: node.metadata.name,
    addresses: addressesOf(status, findings),
    podCIDRs: podCIDRsOf(spec, findings),
    zone,
    taints: taintsOf(spec, findings),
    deleting: deletionTimestamp !== undefined,
  }
  return { node: info, diagnostics: findings.all() }
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'

function addressesOf(status: JsonObject, findings: Findings): readonly string[] {
  const fields = fieldReader(findings, 'status.addresses')
  const byType = { InternalIP: new Set<string>(), ExternalIP: new Set<string>() }
  for (const [index, item] of fieldReader(findings, 'status').list(status['addresses'], 'addresses').entries()) {
    const record = fields.record(item, '', index)
    const type = record?.['type']
    if (record === undefined || (type !== 'InternalIP' && type !== 'ExternalIP')) continue
    const text = record['address']
    const address = typeof text === 'string' ? parseAddress(text) : undefined
    if (address === undefined) findings.report('NOT_AN_ADDRESS', fields.path('address', index), text)
    else byType[type].add(address.text)
  }
  return [...new Set([...byType.InternalIP, ...byType.ExternalIP])]
}

/** `podCIDR` is the older field, and counts where the newer one is absent. */
function podCIDRsOf(spec: JsonObject, findings: Findings): readonly string[] {
  const listed = fieldReader(findings, 'spec').list(spec['podCIDRs'], 'podCIDRs')
  const single = spec['podCIDR'] ?? ''
  const items: readonly (readonly [string, Json])[] =
    listed.length === 0 && single !== ''
      ? [['spec.podCIDR', single]]
      : listed.map((item, index) => [`spec.podCIDRs[${index}]`, item] as const)
  const cidrs = new Set<string>()
  for (const [path, item] of items) {
    const cidr = typeof item === 'string' ? parseCidr(item) : undefined
    if (cidr === undefined) findings.report('NOT_A_CIDR', path, item)
    else cidrs.add(cidr.text)
  }
  return [...cidrs]
}

function taintsOf(spec: JsonObject, findings: Findings): NodeInfo['taints'] {
  const fields = fieldReader(findings, 'spec.taints')
  const taints: NodeInfo['taints'][number][] = []
  for (const [index, item] of fieldReader(findings, 'spec').list(spec['taints'], 'taints').entries()) {
    const record = fields.record(item, '', index)
    const key = fields.text(record?.['key'], 'key', index)
    const effect = fields.text(record?.['effect'], 'effect', index)
    const value = fields.text(record?.['value'], 'value', index)
    if (key === undefined || effect === undefined) continue
    taints.push(value === undefined ? { key, effect } : { key, value, effect })
  }
  return taints
}

/** What the proxy uses of a Node. Addresses and CIDRs in canonical spelling, in the object's order. */
export interface NodeInfo {
  readonly name: string
  /** InternalIP first, then ExternalIP; other types are left out. The first of a family is the node IP of that family. */
  readonly addresses: readonly string[]
  readonly podCIDRs: readonly string[]
  /** The label topology.kubernetes.io/zone; empty where absent. */
  readonly zone: string
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[]
  /** A deletion timestamp is set. */
  readonly deleting: boolean
}

/** A node of which only the name is known: which endpoints are local is still known. */
export const nodeWithoutObject = (name: string): NodeInfo => ({
  name,
  addresses: [],
  podCIDRs: [],
  zone: '',
  taints: [],
  deleting: false,
})

/** What the node is known by. */
interface NodeAddresses {
  readonly node: NodeInfo | undefined
  /** The addresses that its interfaces have. Undefined: not looked at, and taken to be those of the Node, and loopback. */
  readonly interfaceAddresses?: readonly string[] | undefined
}

/**
 * The node's own address in one family: the configured one, else the Node's; loopback where it has none
 * (detectNodeIPs of kube-proxy 1.36).
 */
export function nodeIpOf(
  node: NodeInfo | undefined,
  family: IpFamily,
  { nodeIp }: Pick<ProxyConfig, 'nodeIp'>,
): string {
  const ofFamily = (address: string): boolean => parseAddress(address)?.family === family
  if (nodeIp !== undefined && ofFamily(nodeIp)) return nodeIp
  return node?.addresses.find(ofFamily) ?? LOOPBACK[family]
}

/**
 * On which addresses node ports answer: all of the node's, or a sorted list. A family that nodePortAddresses leave out
 * has all, and so has one with a CIDR that holds everything (NodePortAddresses of kube-proxy 1.36).
 */
export function nodePortAddressesOf(
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp'>,
  family: IpFamily,
  addresses: NodeAddresses,
): 'all' | readonly string[] {
  const cidrs = nodePortCidrs(config, family, addresses.node)
  if (cidrs.length === 0 || cidrs.some(({ prefix }) => prefix === 0)) return 'all'
  const found = addressesOfNode(addresses)
    .flatMap((text) => parseAddress(text) ?? [])
    .filter((address) => cidrs.some((cidr) => cidrContains(cidr, address)))
  return [...new Set(found.map(({ text }) => text))].toSorted()
}

/**
 * Whether node ports answer on IPv4 loopback: not where nodePortAddresses leave it out (127.0.0.0 itself counts, or a
 * network within 127.0.0.0/8), and never in IPv6, where the kernel has no route_localnet.
 */
export function answersOnLocalhost(
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp' | 'localhostNodePorts'>,
  family: IpFamily,
  node: NodeInfo | undefined,
): boolean {
  if (family === 'IPv6' || !config.localhostNodePorts) return false
  const cidrs = nodePortCidrs(config, family, node)
  return cidrs.length === 0 || cidrs.some((cidr) => cidr.text.startsWith('127.') || cidrContains(cidr, FIRST_LOOPBACK))
}

/** What tells packets that pods of this node send from all others. */
export type LocalSource =
  | { readonly type: 'cidr'; readonly cidr: Cidr }
  | { readonly type: 'interface'; readonly name: string }
  | { readonly type: 'interfacePrefix'; readonly prefix: string }

/**
 * How local traffic is recognized in one family. Undefined: it cannot be recognized, and then no rule asks: nothing is masqueraded for
 * coming from elsewhere, and no pod is let past the external traffic policy. Of several CIDRs of a family kube-proxy uses the first.
 */
export function localSourceOf(
  detectLocal: DetectLocal,
  { node, family }: { readonly node: NodeInfo | undefined; readonly family: IpFamily },
): LocalSource | undefined {
  const first = (texts: readonly string[]): LocalSource | undefined => {
    const cidr = texts.map(parseCidr).find((parsed) => parsed?.family === family)
    return cidr && { type: 'cidr', cidr }
  }
  switch (detectLocal.mode) {
    case 'None':
      return undefined
    case 'ClusterCIDR':
      return first(detectLocal.cidrs)
    case 'NodeCIDR':
      return first(node?.podCIDRs ?? [])
    case 'BridgeInterface':
      return { type: 'interface', name: detectLocal.bridge }
    case 'InterfaceNamePrefix':
      return { type: 'interfacePrefix', prefix: detectLocal.prefix }
    default:
      return assertNever(detectLocal)
  }
}

export const isLoopback = (address: string): boolean => address === LOOPBACK.IPv6 || address.startsWith('127.')

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const
const FIRST_LOOPBACK: IpAddress = { family: 'IPv4', text: '127.0.0.0' }

function addressesOfNode({ node, interfaceAddresses }: NodeAddresses): readonly string[] {
  return interfaceAddresses ?? [...(node?.addresses ?? []), LOOPBACK.IPv4, LOOPBACK.IPv6]
}

function nodePortCidrs(
  config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp'>,
  family: IpFamily,
  node: NodeInfo | undefined,
): readonly Cidr[] {
  const { nodePortAddresses } = config
  if (nodePortAddresses === 'all') return []
  const texts =
    nodePortAddresses === 'primary' ? primaryCidrs(nodeIpOf(node, family, config), family) : nodePortAddresses
  return texts.flatMap((text) => parseCidr(text) ?? []).filter((cidr) => cidr.family === family)
}

/** `primary`: the node IP of each family. A family in which the node has none is as if it were left out. */
function primaryCidrs(nodeIp: string, family: IpFamily): readonly string[] {
  return isLoopback(nodeIp) ? [] : [`${nodeIp}/${family === 'IPv4' ? 32 : 128}`]
}
