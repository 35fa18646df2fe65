import { parseAddress, parseCidr } from './address.js'
import { type Diagnostic, fieldReader, type Findings, findingsOf } from './diagnostic.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'

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
