import type { IpFamily } from './address.js'
import type { Diagnostic } from './diagnostic.js'
import { sortedEndpoints, withoutDuplicates } from './endpoint-order.js'
import type { Endpoint } from './endpoint.js'
import { fieldReader, isPortNumber } from './field-reader.js'
import { findingsOf } from './findings.js'
import type { Findings } from './findings.js'
import type { Json, KubernetesObject } from './kubernetes-object.js'
import { SERVICE_NAME_LABEL, serviceName, servicePortName } from './names.js'
import type { ServiceName, ServicePortName } from './names.js'
import { protocolOf } from './service-ports.js'
import { readSliceEndpoint } from './slice-endpoint.js'
import type { SliceReading } from './slice-endpoint.js'
import { isObjectName, isPortName } from './valid-names.js'

/** What one EndpointSlice gives to the service ports of the Service that owns it. */
export interface SliceEndpoints {
  readonly service: ServiceName
  /** Name of the slice; it is in the Service's namespace. */
  readonly slice: string
  /** Empty where the slice has none, as in a manifest. */
  readonly resourceVersion: string
  /** Sorted by `endpointKey`, no endpoint twice. A port without any has no entry. */
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
