import { parseAddress, parseCidr } from './address.js'
import type { IpFamily } from './address.js'
import { fieldReader } from './field-reader.js'
import type { Findings } from './findings.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import type { ServicePort } from './service-port.js'

/** The addresses of a Service in one family. No cluster IP: the Service is not of that family. */
export type ServiceAddresses = Pick<
  ServicePort,
  'externalIPs' | 'loadBalancerVIPs' | 'loadBalancerProxyIPs' | 'loadBalancerSourceRanges'
> & { readonly clusterIP: string | undefined }

export type AddressesByFamily = { readonly [family in IpFamily]: ServiceAddresses }

/**
 * The addresses of a Service by family, canonical, in the object's order, without repetitions. One of a family that the
 * Service has not is left out with a diagnostic, but for source ranges: those are often written for both.
 */
export function serviceAddressesOf(service: KubernetesObject, spec: JsonObject, findings: Findings): AddressesByFamily {
  const { clusterIPs, families } = clusterIPsOf(spec, findings)
  const externalIPs = noneYet()
  for (const [index, item] of fieldReader(findings, 'spec').list(spec['externalIPs'], 'externalIPs').entries()) {
    addAddress(externalIPs, item, { path: `spec.externalIPs[${index}]`, families, findings })
  }
  const { vips, proxyIPs } = loadBalancerIPsOf(service, families, findings)
  const ranges = sourceRangesOf(spec, findings)
  const ofFamily = (family: IpFamily): ServiceAddresses => ({
    clusterIP: clusterIPs.get(family),
    externalIPs: [...externalIPs[family]],
    loadBalancerVIPs: [...vips[family]],
    loadBalancerProxyIPs: [...proxyIPs[family]],
    loadBalancerSourceRanges: [...ranges[family]],
  })
  return { IPv4: ofFamily('IPv4'), IPv6: ofFamily('IPv6') }
}

type TextsByFamily = { readonly [family in IpFamily]: Set<string> }
const noneYet = (): TextsByFamily => ({ IPv4: new Set(), IPv6: new Set() })

interface Place {
  readonly path: string
  /** Families that the Service has. */
  readonly families: ReadonlySet<IpFamily>
  readonly findings: Findings
}

function addAddress(to: TextsByFamily, item: Json, { path, families, findings }: Place): void {
  const address = typeof item === 'string' ? parseAddress(item) : undefined
  if (address === undefined) findings.report('NOT_AN_ADDRESS', path, item)
  else if (!families.has(address.family)) findings.report('OTHER_FAMILY', path, item)
  else to[address.family].add(address.text)
}

interface ClusterIPs {
  readonly clusterIPs: ReadonlyMap<IpFamily, string>
  readonly families: ReadonlySet<IpFamily>
}

/**
 * `ipFamilies[i]` is the family of `clusterIPs[i]`. Without `ipFamilies` each address is of its own family; without
 * `clusterIPs` `clusterIP` is the only one (objects of old servers, and files written by hand).
 */
function clusterIPsOf(spec: JsonObject, findings: Findings): ClusterIPs {
  const named = fieldReader(findings, 'spec').list(spec['ipFamilies'], 'ipFamilies')
  const clusterIPs = new Map<IpFamily, string>()
  for (const { item, path, family } of clusterIPCandidates(spec, named, findings)) {
    const address = typeof item === 'string' ? parseAddress(item) : undefined
    if (address === undefined) findings.report('NOT_AN_ADDRESS', path, item)
    else if (family !== undefined && family !== address.family) findings.report('OTHER_FAMILY', path, item)
    else if (!clusterIPs.has(address.family)) clusterIPs.set(address.family, address.text)
  }
  return { clusterIPs, families: familiesOf(named, clusterIPs, findings) }
}

interface ClusterIPCandidate {
  readonly item: Json
  readonly path: string
  /** The family that it should be of; absent: its own. */
  readonly family?: Json | undefined
}

function clusterIPCandidates(
  spec: JsonObject,
  named: readonly Json[],
  findings: Findings,
): readonly ClusterIPCandidate[] {
  const listed = fieldReader(findings, 'spec')
    .list(spec['clusterIPs'], 'clusterIPs')
    .map((item, index) => ({ item, path: `spec.clusterIPs[${index}]` }))
  const first = { item: spec['clusterIP'] ?? '', path: 'spec.clusterIP' }
  if (named.length === 0) return [first, ...listed].filter(isGiven)
  return (listed.length === 0 ? [first] : listed)
    .slice(0, named.length)
    .map((candidate, index) => ({ ...candidate, family: named[index] }))
    .filter(isGiven)
}

const isGiven = ({ item }: ClusterIPCandidate): boolean => item !== '' && item !== 'None'

function familiesOf(
  named: readonly Json[],
  clusterIPs: ReadonlyMap<IpFamily, string>,
  findings: Findings,
): ReadonlySet<IpFamily> {
  const families = new Set(clusterIPs.keys())
  for (const [index, family] of named.entries()) {
    if (family === 'IPv4' || family === 'IPv6') families.add(family)
    else findings.report('UNKNOWN_VALUE', `spec.ipFamilies[${index}]`, family)
  }
  return families
}

function loadBalancerIPsOf(
  service: KubernetesObject,
  families: ReadonlySet<IpFamily>,
  findings: Findings,
): { readonly vips: TextsByFamily; readonly proxyIPs: TextsByFamily } {
  const status = fieldReader(findings, '').record(service['status'], 'status')
  const loadBalancer = fieldReader(findings, 'status').record(status?.['loadBalancer'], 'loadBalancer')
  const fields = fieldReader(findings, 'status.loadBalancer.ingress')
  const items = fieldReader(findings, 'status.loadBalancer').list(loadBalancer?.['ingress'], 'ingress')
  const vips = noneYet()
  const proxyIPs = noneYet()
  for (const [index, item] of items.entries()) {
    const ingress = fields.record(item, '', index)
    const ip = ingress?.['ip'] ?? ''
    // A load balancer that is known by its host name alone is reached through the node ports.
    if (ingress === undefined || ip === '') continue
    const mode = ingress['ipMode'] ?? 'VIP'
    if (mode !== 'VIP' && mode !== 'Proxy') findings.report('UNKNOWN_VALUE', fields.path('ipMode', index), mode)
    // As kube-proxy has it, every mode but VIP means that no rule is made.
    addAddress(mode === 'VIP' ? vips : proxyIPs, ip, { path: fields.path('ip', index), families, findings })
  }
  return { vips, proxyIPs }
}

function sourceRangesOf(spec: JsonObject, findings: Findings): TextsByFamily {
  const ranges = noneYet()
  const items = fieldReader(findings, 'spec').list(spec['loadBalancerSourceRanges'], 'loadBalancerSourceRanges')
  for (const [index, item] of items.entries()) {
    // The API server lets blanks around a range pass.
    const cidr = typeof item === 'string' ? parseCidr(item.trim()) : undefined
    if (cidr === undefined) findings.report('NOT_A_CIDR', `spec.loadBalancerSourceRanges[${index}]`, item)
    else ranges[cidr.family].add(cidr.text)
  }
  return ranges
}
