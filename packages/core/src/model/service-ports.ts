import { isOfAllAddresses, parseAddress, parseCidr, type IpFamily } from './address.js'
import {
  fieldReader,
  findingsOf,
  isPortNumber,
  type Diagnostic,
  type FieldReader,
  type Findings,
} from './diagnostic.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import {
  isObjectName,
  isPortName,
  PROTOCOLS,
  serviceName,
  servicePortName,
  type Protocol,
  type ServiceName,
} from './names.js'
import { serviceTrafficOf, type ServicePort, type SkippedPort, type SkipReason } from './service-port.js'
import { visible } from './shown-text.js'

export interface ServicePortsResult {
  /** In the order of `spec.ports`, and of the families within a port. */
  readonly ports: readonly ServicePort[]
  readonly skipped: readonly SkippedPort[]
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * The service ports of a Service, one for each port and family: what kube-proxy 1.36 makes rules for. Never throws: what
 * cannot be read is left out with a diagnostic, and what gets no rules stands in `skipped` with its reason. That a Service
 * lacks one of the `families` is normal, and no diagnostic.
 */
export function servicePortsOf(
  service: KubernetesObject,
  families: readonly IpFamily[] = BOTH_FAMILIES,
): ServicePortsResult {
  const findings = findingsOf(service)
  const identity = identityOf(service, findings)
  const spec = fieldReader(findings, '').record(service['spec'], 'spec') ?? {}
  const reason = identity.valid ? reasonToSkip(service, spec, findings) : 'INVALID_NAME'
  if (reason !== undefined) {
    return { ports: [], skipped: [{ service: identity.service, reason }], diagnostics: findings.all() }
  }
  const { ports, skipped } = portsOf({ service, identity, spec, families, findings })
  return { ports, skipped, diagnostics: findings.all() }
}

const BOTH_FAMILIES: readonly IpFamily[] = ['IPv4', 'IPv6']

interface Identity {
  readonly service: ServiceName
  readonly namespace: string
  readonly name: string
  readonly valid: boolean
}

function identityOf({ metadata }: KubernetesObject, findings: Findings): Identity {
  const namespace: Json | undefined = metadata.namespace
  const name: Json | undefined = metadata.name
  if (isObjectName(namespace) && isObjectName(name)) {
    return { service: serviceName(namespace, name), namespace, name, valid: true }
  }
  const shown = (value: Json | undefined): string => (typeof value === 'string' ? visible(value) : '')
  if (!isObjectName(namespace)) findings.report('INVALID_NAME', 'metadata.namespace', namespace)
  if (!isObjectName(name)) findings.report('INVALID_NAME', 'metadata.name', name)
  return { service: serviceName(shown(namespace), shown(name)), namespace: '', name: '', valid: false }
}

/** kube-proxy never sees Services of another proxy (its watch leaves them out), and passes over the rest of these. */
function reasonToSkip(service: KubernetesObject, spec: JsonObject, findings: Findings): SkipReason | undefined {
  const labels = fieldReader(findings, 'metadata').record(service.metadata['labels'], 'labels')
  const fields = fieldReader(findings, 'spec')
  const clusterIP = fields.text(spec['clusterIP'], 'clusterIP') ?? ''
  // The label's mere presence decides, whatever its value.
  if (labels !== undefined && Object.hasOwn(labels, 'service.kubernetes.io/service-proxy-name')) return 'OTHER_PROXY'
  if (spec['type'] === 'ExternalName') return 'EXTERNAL_NAME'
  if (clusterIP === 'None') return 'HEADLESS'
  return clusterIP === '' ? 'NO_CLUSTER_IP' : undefined
}

interface Reading {
  readonly service: KubernetesObject
  readonly identity: Identity
  readonly spec: JsonObject
  readonly families: readonly IpFamily[]
  readonly findings: Findings
}

function portsOf(reading: Reading): Pick<ServicePortsResult, 'ports' | 'skipped'> {
  const { service, identity, spec, families, findings } = reading
  const addresses = serviceAddressesOf(service, spec, findings)
  const traffic = serviceTrafficOf(spec, findings)
  const createdAt = createdAtOf(service, findings)
  const ports: ServicePort[] = []
  const skipped: SkippedPort[] = []
  const { namespace, name } = identity
  for (const port of readPorts(identity.service, spec, findings, skipped)) {
    for (const family of families) {
      const { clusterIP, ...others } = addresses[family]
      if (clusterIP === undefined) continue
      const id = servicePortName({
        service: identity.service,
        portName: port.portName,
        protocol: port.protocol,
        family,
      })
      ports.push({
        id,
        service: identity.service,
        namespace,
        name,
        ...port,
        family,
        clusterIP,
        ...others,
        ...traffic,
        createdAt,
      })
    }
  }
  for (const family of families) {
    if (addresses[family].clusterIP === undefined) {
      skipped.push({ service: identity.service, family, reason: 'NO_CLUSTER_IP_OF_FAMILY' })
    }
  }
  return { ports, skipped }
}

type PortFields = Pick<ServicePort, 'portName' | 'protocol' | 'port' | 'nodePort'>

/** The ports that can be used; the others are added to `skipped`. */
function readPorts(
  service: ServiceName,
  spec: JsonObject,
  findings: Findings,
  skipped: SkippedPort[],
): readonly PortFields[] {
  const items = fieldReader(findings, 'spec').list(spec['ports'], 'ports')
  const fields = fieldReader(findings, 'spec.ports')
  const ports = new Map<string, PortFields>()
  for (const [index, item] of items.entries()) {
    const port = readPort(item, index, fields, findings)
    if (port === undefined) {
      skipped.push({ service, portName: skippedName(item, index), reason: 'INVALID_PORT' })
    } else if (ports.has(`${port.portName}/${port.protocol}`)) {
      findings.report('DUPLICATE_PORT', fields.path('name', index), port.portName)
    } else {
      ports.set(`${port.portName}/${port.protocol}`, port)
    }
  }
  return [...ports.values()]
}

function readPort(item: Json, index: number, fields: FieldReader, findings: Findings): PortFields | undefined {
  const record = fields.record(item, '', index)
  if (record === undefined) {
    if (item === null) findings.report('WRONG_TYPE', fields.path('', index), item)
    return undefined
  }
  const portName = record['name'] ?? ''
  const protocol = protocolOf(record['protocol'])
  const port = record['port']
  const nodePort = record['nodePort'] ?? 0
  if (!isPortName(portName)) findings.report('INVALID_NAME', fields.path('name', index), portName)
  if (protocol === undefined) findings.report('UNKNOWN_PROTOCOL', fields.path('protocol', index), record['protocol'])
  if (!isPortNumber(port)) findings.report('NOT_A_PORT', fields.path('port', index), port)
  if (!isPortName(portName) || protocol === undefined || !isPortNumber(port)) return undefined
  // A node port that cannot be read costs the node port alone: the cluster IP still works.
  if (nodePort !== 0 && !isPortNumber(nodePort)) findings.report('NOT_A_PORT', fields.path('nodePort', index), nodePort)
  return { portName, protocol, port, nodePort: isPortNumber(nodePort) ? nodePort : 0 }
}

/** TCP where absent. */
export function protocolOf(value: Json | undefined): Protocol | undefined {
  if (value === undefined || value === null || value === '') return 'TCP'
  return PROTOCOLS.find((protocol) => protocol === value)
}

/** The name by which a port that is left out can be shown: its own where that is fit to be shown. */
function skippedName(item: Json, index: number): string {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item['name'] : undefined
  return isPortName(name) ? name : `ports[${index}]`
}

function createdAtOf({ metadata }: KubernetesObject, findings: Findings): string {
  const created = fieldReader(findings, 'metadata').text(metadata['creationTimestamp'], 'creationTimestamp') ?? ''
  if (created === '' || /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(created)) return created
  findings.report('WRONG_TYPE', 'metadata.creationTimestamp', created)
  return ''
}

/** The addresses of a Service in one family. No cluster IP: the Service is not of that family. */
type ServiceAddresses = Pick<
  ServicePort,
  'externalIPs' | 'loadBalancerVIPs' | 'loadBalancerProxyIPs' | 'loadBalancerSourceRanges' | 'voidSourceRanges'
> & { readonly clusterIP: string | undefined }

type AddressesByFamily = { readonly [family in IpFamily]: ServiceAddresses }

/**
 * The addresses of a Service by family, canonical, in the object's order, without repetitions. One of a family that the
 * Service has not is left out with a diagnostic, but for source ranges: those are often written for both.
 */
function serviceAddressesOf(service: KubernetesObject, spec: JsonObject, findings: Findings): AddressesByFamily {
  const { clusterIPs, families } = clusterIPsOf(spec, findings)
  const externalIPs = noneYet()
  for (const [index, item] of fieldReader(findings, 'spec').list(spec['externalIPs'], 'externalIPs').entries()) {
    addAddress(externalIPs, item, { path: `spec.externalIPs[${index}]`, families, findings })
  }
  const { vips, proxyIPs } = loadBalancerIPsOf(service, families, findings)
  const ranges = sourceRangesOf(spec, findings)
  // A range of all addresses makes the others void: kube-proxy 1.36 then has no ranges of that family at all.
  const rangesOf = (family: IpFamily): Pick<ServicePort, 'loadBalancerSourceRanges' | 'voidSourceRanges'> => {
    const written = [...ranges[family]]
    return written.some(isOfAllAddresses)
      ? { loadBalancerSourceRanges: [], voidSourceRanges: written }
      : { loadBalancerSourceRanges: written }
  }
  const ofFamily = (family: IpFamily): ServiceAddresses => ({
    clusterIP: clusterIPs.get(family),
    externalIPs: [...externalIPs[family]],
    loadBalancerVIPs: [...vips[family]],
    loadBalancerProxyIPs: [...proxyIPs[family]],
    ...rangesOf(family),
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

/** The source ranges as a Service has them, canonical, by family; also those that have no effect beside one of all addresses. */
export function writtenSourceRanges(service: KubernetesObject): { readonly [family in IpFamily]: readonly string[] } {
  const findings = findingsOf(service)
  const ranges = sourceRangesOf(fieldReader(findings, '').record(service['spec'], 'spec') ?? {}, findings)
  return { IPv4: [...ranges.IPv4], IPv6: [...ranges.IPv6] }
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
