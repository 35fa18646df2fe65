import { parseAddress, type IpFamily } from './address.js'
import {
  fieldReader,
  findingsOf,
  isPortNumber,
  type Diagnostic,
  type FieldReader,
  type Findings,
} from './diagnostic.js'
import { sortedEndpoints, withoutDuplicates, type Endpoint } from './endpoint.js'
import { isJsonObject } from './json-value.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import {
  isObjectName,
  isPortName,
  SERVICE_NAME_LABEL,
  serviceName,
  servicePortName,
  type ServiceName,
  type ServicePortName,
} from './names.js'
import { protocolOf } from './service-ports.js'

/** What one EndpointSlice gives to the service ports of the Service that owns it. */
export interface SliceEndpoints {
  readonly service: ServiceName
  /** Name of the slice; it is in the Service's namespace. */
  readonly slice: string
  /** Empty where the slice has none, as in a manifest. */
  readonly resourceVersion: string
  /** Sorted by `endpointKey`, but those of an Endpoints; no endpoint twice. A port without any has no entry. */
  readonly endpoints: ReadonlyMap<ServicePortName, readonly Endpoint[]>
  readonly diagnostics: readonly Diagnostic[]
}

/** A slice that no Service owns, or none that can exist: it gives no endpoints. */
export interface UnownedSlice extends Omit<SliceEndpoints, 'service'> {
  readonly service?: undefined
}

/**
 * The endpoints of an EndpointSlice (discovery.k8s.io/v1), read as kube-proxy 1.36 reads it. Never throws: what cannot be
 * read is left out with a diagnostic.
 */
export function endpointsOfSlice(object: KubernetesObject): SliceEndpoints | UnownedSlice {
  const findings = findingsOf(object)
  const { name: slice, resourceVersion: version } = object.metadata
  const resourceVersion = typeof version === 'string' ? version : ''
  const service = ownerOf(object, findings)
  if (service === undefined) {
    return { slice, resourceVersion, endpoints: NO_ENDPOINTS, diagnostics: findings.all() }
  }
  const endpoints = readEndpoints(object, service, findings)
  return { service, slice, resourceVersion, endpoints, diagnostics: findings.all() }
}

const NO_ENDPOINTS: ReadonlyMap<ServicePortName, readonly Endpoint[]> = new Map()

function ownerOf({ metadata }: KubernetesObject, findings: Findings): ServiceName | undefined {
  const namespace: Json | undefined = metadata.namespace
  const labels = fieldReader(findings, 'metadata').record(metadata['labels'], 'labels')
  const owner = labels?.[SERVICE_NAME_LABEL] ?? ''
  if (owner === '') findings.report('NO_SERVICE_NAME', 'metadata.labels')
  else if (!isObjectName(owner)) findings.report('INVALID_NAME', `metadata.labels[${SERVICE_NAME_LABEL}]`, owner)
  if (!isObjectName(namespace)) findings.report('INVALID_NAME', 'metadata.namespace', namespace)
  return isObjectName(owner) && isObjectName(namespace) ? serviceName(namespace, owner) : undefined
}

function readEndpoints(slice: KubernetesObject, service: ServiceName, findings: Findings): SliceEndpoints['endpoints'] {
  if (slice['subsets'] !== undefined) return readSubsets(slice, service, findings)
  const family = slice['addressType']
  if (family !== 'IPv4' && family !== 'IPv6') {
    findings.report('UNSUPPORTED_ADDRESS_TYPE', 'addressType', family)
    return NO_ENDPOINTS
  }
  const ports = readPorts(slice, { service, family }, findings)
  const [first, ...others] = ports
  if (first === undefined) return NO_ENDPOINTS
  const ofFirst = readOnPort(slice, { family, port: first.port, fields: fieldReader(findings, 'endpoints'), findings })
  if (ofFirst.length === 0) return NO_ENDPOINTS
  const endpoints = new Map([[first.id, ofFirst]])
  for (const { id, port } of others) {
    // One order serves every port: within a port only the addresses decide.
    const ofPort = ofFirst.map((endpoint) => ({ ...endpoint, port }))
    const before = endpoints.get(id)
    endpoints.set(id, before === undefined ? ofPort : withoutDuplicates(sortedEndpoints([...before, ...ofPort])))
  }
  return endpoints
}

/**
 * Of a slice that stands for an Endpoints (`sliceOfEndpoints`): in the order of the object, in which kube-proxy 1.20 lists them, no
 * endpoint twice. A port may have no name there.
 */
function readSubsets(slice: KubernetesObject, service: ServiceName, findings: Findings): SliceEndpoints['endpoints'] {
  const endpoints = new Map<ServicePortName, Map<string, Endpoint>>()
  const subsets = fieldReader(findings, '').list(slice['subsets'], 'subsets')
  for (const [index, item] of subsets.entries()) {
    const subset = fieldReader(findings, 'subsets').record(item, '', index)
    if (subset === undefined) continue
    const place = `subsets[${index}]`
    const fields = fieldReader(findings, place)
    const ports = fields
      .list(subset['ports'], 'ports')
      .map((port) => (isJsonObject(port) ? { name: '', ...port } : port))
    const addresses = (['addresses', 'notReadyAddresses'] as const).flatMap((field) =>
      readSubsetAddresses(fields.list(subset[field], field), {
        fields: fieldReader(findings, `${place}.${field}`),
        ready: field === 'addresses',
        findings,
      }),
    )
    for (const family of ['IPv4', 'IPv6'] as const)
      for (const { id, port } of readPorts({ ...slice, ports }, { service, family }, findings)) {
        const list = endpoints.get(id) ?? new Map<string, Endpoint>()
        for (const address of addresses) {
          if (address.address.includes(':') !== (family === 'IPv6')) continue
          const endpoint: Endpoint = { ...address, port }
          const key = `${endpoint.address} ${port}`
          if (list.get(key)?.ready !== true) list.set(key, endpoint)
        }
        if (list.size > 0) endpoints.set(id, list)
      }
  }
  return new Map([...endpoints].map(([id, list]) => [id, [...list.values()]]))
}

interface SubsetReading {
  readonly fields: FieldReader
  readonly ready: boolean
  readonly findings: Findings
}

const readSubsetAddresses = (
  items: readonly (Json | undefined)[],
  { fields, ready, findings }: SubsetReading,
): readonly Omit<Endpoint, 'port'>[] =>
  items.flatMap((item, index) => {
    const record = fields.record(item, '', index)
    if (record === undefined) return []
    const { ip } = record
    const address = typeof ip === 'string' ? parseAddress(ip) : undefined
    if (address === undefined) {
      findings.report('NOT_AN_ADDRESS', fields.path('ip', index), ip)
      return []
    }
    const nodeName = fields.text(record['nodeName'], 'nodeName', index) ?? ''
    const target = fields.record(record['targetRef'], 'targetRef', index)
    const pod = target?.['kind'] === 'Pod' ? (fields.text(target['name'], 'targetRef.name', index) ?? '') : ''
    return [
      {
        address: address.text,
        ready,
        serving: ready,
        terminating: false,
        ...(nodeName !== '' && { nodeName }),
        ...(pod !== '' && { pod }),
      },
    ]
  })

interface SlicePort {
  readonly id: ServicePortName
  readonly port: number
}

/** The ports that can be used, in the slice's order. */
function readPorts(
  slice: KubernetesObject,
  { service, family }: { readonly service: ServiceName; readonly family: IpFamily },
  findings: Findings,
): readonly SlicePort[] {
  const fields = fieldReader(findings, 'ports')
  const ports: SlicePort[] = []
  for (const [index, item] of fieldReader(findings, '').list(slice['ports'], 'ports').entries()) {
    const record = fields.record(item, '', index)
    const portName = record?.['name'] ?? undefined
    const port = record?.['port'] ?? 0
    const protocol = protocolOf(record?.['protocol'])
    if (record === undefined) continue
    if (portName === undefined) findings.report('NO_PORT_NAME', fields.path('name', index))
    else if (!isPortName(portName)) findings.report('INVALID_NAME', fields.path('name', index), portName)
    else if (port === 0) findings.report('NO_PORT_NUMBER', fields.path('port', index))
    else if (!isPortNumber(port)) findings.report('NOT_A_PORT', fields.path('port', index), port)
    else if (protocol === undefined)
      findings.report('UNKNOWN_PROTOCOL', fields.path('protocol', index), record['protocol'])
    else ports.push({ id: servicePortName({ service, portName, protocol, family }), port })
  }
  return ports
}

/** The slice's endpoints on one port, sorted, no address twice. */
function readOnPort(slice: KubernetesObject, reading: SliceReading): readonly Endpoint[] {
  const endpoints: Endpoint[] = []
  const items = fieldReader(reading.findings, '').list(slice['endpoints'], 'endpoints')
  for (let index = 0; index < items.length; index++) {
    const endpoint = readSliceEndpoint(items[index], index, reading)
    if (endpoint !== undefined) endpoints.push(endpoint)
  }
  return withoutDuplicates(sortedEndpoints(endpoints))
}

/** What is the same for all endpoints of a slice: made once, because this is the hot path of every replay. */
interface SliceReading {
  readonly family: IpFamily
  readonly port: number
  readonly fields: FieldReader
  readonly findings: Findings
}

/** One entry of `endpoints` on one port; `undefined` with a diagnostic where it has no address that can be used. */
function readSliceEndpoint(item: Json | undefined, index: number, reading: SliceReading): Endpoint | undefined {
  const { fields } = reading
  const record = fields.record(item, '', index)
  if (record === undefined) return undefined
  const address = addressOf(record, index, reading)
  if (address === undefined) return undefined
  const conditions = fields.record(record['conditions'], 'conditions', index)
  const endpoint: Mutable<Endpoint> = {
    address,
    port: reading.port,
    ready: fields.flag(conditions?.['ready'], 'conditions.ready', index) ?? true,
    serving: fields.flag(conditions?.['serving'], 'conditions.serving', index) ?? true,
    terminating: fields.flag(conditions?.['terminating'], 'conditions.terminating', index) ?? false,
  }
  // Assigned one by one: this runs for every endpoint of every event, and spreads of halves cost several times as much.
  const nodeName = fields.text(record['nodeName'], 'nodeName', index) ?? ''
  if (nodeName !== '') endpoint.nodeName = nodeName
  const zone = fields.text(record['zone'], 'zone', index) ?? ''
  if (zone !== '') endpoint.zone = zone
  const hints = fields.record(record['hints'], 'hints', index)
  if (hints !== undefined) addHints(endpoint, hints, { index, fields })
  const target = fields.record(record['targetRef'], 'targetRef', index)
  const pod = target?.['kind'] === 'Pod' ? (fields.text(target['name'], 'targetRef.name', index) ?? '') : ''
  if (pod !== '') endpoint.pod = pod
  return endpoint
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] }

/** Only the first address counts: all addresses of an endpoint lead to the same place (as in kube-proxy). */
function addressOf(record: JsonObject, index: number, { family, fields, findings }: SliceReading): string | undefined {
  const first = fields.list(record['addresses'], 'addresses', index)[0]
  if (first === undefined) {
    findings.report('NO_ADDRESS', fields.path('addresses', index))
    return undefined
  }
  const address = typeof first === 'string' ? parseAddress(first) : undefined
  if (address?.family === family) return address.text
  findings.report(address === undefined ? 'NOT_AN_ADDRESS' : 'OTHER_FAMILY', fields.path('addresses[0]', index), first)
  return undefined
}

interface HintsPlace {
  readonly index: number
  readonly fields: FieldReader
}

function addHints(endpoint: Mutable<Endpoint>, hints: JsonObject, place: HintsPlace): void {
  const zones = hintNames(hints, 'forZones', place)
  if (zones.length > 0) endpoint.zoneHints = zones
  const nodes = hintNames(hints, 'forNodes', place)
  if (nodes.length > 0) endpoint.nodeHints = nodes
}

function hintNames(
  hints: JsonObject,
  field: 'forZones' | 'forNodes',
  { index, fields }: HintsPlace,
): readonly string[] {
  const names = new Set<string>()
  for (const [position, item] of fields.list(hints[field], `hints.${field}`, index).entries()) {
    const hint = fields.record(item, `hints.${field}[${position}]`, index)
    const name = fields.text(hint?.['name'], `hints.${field}[${position}].name`, index) ?? ''
    if (name !== '') names.add(name)
  }
  return [...names].toSorted()
}

/**
 * The endpoints of a Service from all its slices together, whatever the order in which they are given. Of an endpoint
 * that several slices list, one that is not terminating wins over one that is (as in kube-proxy); between equals, where
 * kube-proxy leaves it open, the slice with the higher resourceVersion, then the one whose name comes first.
 * The map of a single slice is given back as it is.
 */
export function gatherEndpoints(slices: readonly SliceEndpoints[]): ReadonlyMap<ServicePortName, readonly Endpoint[]> {
  const [only] = slices
  if (only === undefined) return new Map()
  if (slices.length === 1) return only.endpoints
  const lists = new Map<ServicePortName, (readonly Endpoint[])[]>()
  for (const { endpoints } of slices.toSorted(comparePrecedence)) {
    for (const [id, list] of endpoints) {
      const sofar = lists.get(id)
      if (sofar === undefined) lists.set(id, [list])
      else sofar.push(list)
    }
  }
  const gathered = new Map<ServicePortName, readonly Endpoint[]>()
  for (const [id, ofSlices] of lists) gathered.set(id, merge(ofSlices))
  return gathered
}

/** Sorting is stable, so that duplicates come out in the order of precedence. */
function merge(lists: readonly (readonly Endpoint[])[]): readonly Endpoint[] {
  const [only] = lists
  return lists.length === 1 && only !== undefined ? only : withoutDuplicates(sortedEndpoints(lists.flat()))
}

function comparePrecedence(a: SliceEndpoints, b: SliceEndpoints): number {
  const newer = compareVersions(b.resourceVersion, a.resourceVersion)
  if (newer !== 0) return newer
  if (a.slice === b.slice) return 0
  return a.slice < b.slice ? -1 : 1
}

/** As numbers where both are: they are of any length, and comparing texts would put 9 above 10. */
function compareVersions(a: string, b: string): number {
  if (a === b) return 0
  if (!isNumber(a) || !isNumber(b)) return a < b ? -1 : 1
  const difference = BigInt(a) - BigInt(b)
  if (difference === 0n) return 0
  return difference < 0n ? -1 : 1
}

const isNumber = (text: string): boolean => /^[0-9]+$/.test(text)
