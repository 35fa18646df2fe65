import { endpointKey } from '../model/endpoint.js'
import { isJsonObject } from '../model/json-value.js'
import type { Json, JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { shortList } from '../model/language.js'
import { SERVICE_NAME_LABEL, serviceLabelOf, serviceName, serviceOf, type ServicePortName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { protocolOf } from '../model/service-ports.js'
import { printableName } from '../model/shown-text.js'
import { endpointsOfSlice } from '../model/slice-endpoints.js'

/** What the EndpointSlices that are there give to a service port, and why some of them give nothing. */
export interface SliceComparison {
  /** How many slices the Service has, whatever they list. */
  readonly slices: number
  /** The names of the slices that list an endpoint, sorted, by `endpointKey`. */
  readonly slicesOf: ReadonlyMap<string, readonly string[]>
  /** Sorted by slice; some of them where there are very many. */
  readonly findings: readonly SliceFinding[]
}

/** What an EndpointSlice and the Service do not agree in. */
export interface SliceFinding {
  readonly slice: string
  readonly reason: SliceReason
  /** One sentence, which begins with the slice. */
  readonly message: string
}

export const SLICE_REASONS = {
  ADDRESS_TYPE: 'its addressType is neither IPv4 nor IPv6',
  OTHER_FAMILY: 'its addressType is a family that the Service does not have',
  NO_PORTS: 'it lists no port',
  NO_PORT_NAME: 'its port has no name, not even an empty one',
  NO_PORT_NUMBER: 'its port has no number',
  OTHER_PORT_NAME: 'its ports have other names than the port of the Service',
  OTHER_PROTOCOL: 'its port of this name has another protocol',
  NO_ENDPOINTS: 'it lists no endpoint',
  NO_ADDRESS: 'none of its endpoints has an address that can be used',
  NO_SERVICE_LABEL: 'it has no label kubernetes.io/service-name, and belongs to no Service',
  OTHER_SERVICE_LABEL: 'its label kubernetes.io/service-name names another Service',
  EARLIER_SERVICE: 'it is owned by an earlier Service of the same name, which was deleted',
  MIRRORED: 'it is mirrored from an Endpoints object, and the Service has a selector',
  NO_SELECTOR: 'the EndpointSlice controller wrote it, and the Service no longer has a selector',
} as const
export type SliceReason = keyof typeof SLICE_REASONS

interface SliceQuestion {
  /** The object of the Service. */
  readonly service: KubernetesObject
  /** The families of its service ports. */
  readonly families: ReadonlySet<string>
  /** Objects of any kind, EndpointSlices of other Services too. */
  readonly objects: readonly KubernetesObject[]
}

/**
 * Compares the ports of a Service with EndpointSlices as kube-proxy matches them: by the label for the Service, by family, and
 * by name and protocol of the port. Each slice is read once, for however many ports.
 */
export function sliceComparer({ service, families, objects }: SliceQuestion): (port: ServicePort) => SliceComparison {
  const { namespace = '', name } = service.metadata
  const own = objects
    .filter((object) => object.kind === 'EndpointSlice' && serviceOf(object) === serviceName(namespace, name))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const targetPorts = namedTargetPorts(service)
  const read = own.map((slice, index) => readSlice(slice, { service, isCompared: index < MOST_COMPARED }))
  const unlabelled = objects.flatMap((object) => lookalike(object, service) ?? []).slice(0, MOST_FINDINGS)
  return (port) => {
    const slicesOf = new Map<string, string[]>()
    const findings: SliceFinding[] = []
    for (const { slice, endpoints, stale, compared } of read) {
      const keys = endpoints.get(port.id) ?? []
      for (const key of keys) {
        const names = slicesOf.get(key)
        if (names === undefined) slicesOf.set(key, [slice.metadata.name])
        else names.push(slice.metadata.name)
      }
      const mismatch =
        keys.length === 0 && compared ? mismatchOf(compared, { port, service, families, targetPorts }) : undefined
      if (findings.length < MOST_FINDINGS)
        findings.push(...(mismatch === undefined ? [] : [finding(slice, ...mismatch)]), ...stale)
    }
    return { slices: own.length, slicesOf, findings: slicesOf.size === 0 ? [...findings, ...unlabelled] : findings }
  }
}

/** Of one service port. */
const MOST_FINDINGS = 20
/** Slices of one Service: more than a Service of 100,000 endpoints has. */
const MOST_COMPARED = 2000

interface ReadSlice {
  readonly slice: KubernetesObject
  /** `endpointKey`s. */
  readonly endpoints: ReadonlyMap<ServicePortName, readonly string[]>
  readonly stale: readonly SliceFinding[]
  readonly compared: ComparedSlice | undefined
}

/** What is compared of a slice, looked up for each port. */
interface ComparedSlice {
  readonly addressType: Json | undefined
  readonly hasEndpoints: boolean
  /** Its addresses, for people. */
  readonly listed: string
  readonly ports: readonly JsonObject[]
  /** Ports by their names; a port whose name is nil is in none. */
  readonly named: ReadonlyMap<string, readonly JsonObject[]>
}

function readSlice(
  slice: KubernetesObject,
  { service, isCompared }: { readonly service: KubernetesObject; readonly isCompared: boolean },
): ReadSlice {
  const endpoints = new Map([...endpointsOfSlice(slice).endpoints].map(([id, list]) => [id, list.map(endpointKey)]))
  if (!isCompared) return { slice, endpoints, stale: [], compared: undefined }
  const listed = listOf(slice['endpoints'])
  const ports = listOf(slice['ports']).map(recordOf)
  const named = new Map<string, JsonObject[]>()
  for (const port of ports) {
    const { name } = port
    if (typeof name === 'string') named.set(name, [...(named.get(name) ?? []), port].slice(0, MOST_SAME_NAME))
  }
  const { addressType } = slice
  const compared = { addressType, hasEndpoints: listed.length > 0, listed: addressesText(listed), ports, named }
  return { slice, endpoints, stale: stalenessOf(slice, service), compared }
}

/** The API allows one. */
const MOST_SAME_NAME = 10

type Words = readonly [reason: SliceReason, words: string]

const finding = ({ metadata: { name } }: KubernetesObject, ...[reason, words]: Words): SliceFinding => ({
  slice: name,
  reason,
  message: `EndpointSlice ${printableName(name)} ${words}`,
})

interface ComparedPort extends Omit<SliceQuestion, 'objects'> {
  readonly port: ServicePort
  readonly targetPorts: ReadonlyMap<string, string>
}

/** The one reason for which a slice of the Service gives nothing to the port; undefined: that is as it should be. */
function mismatchOf(
  { addressType, hasEndpoints, listed, ports, named }: ComparedSlice,
  asked: ComparedPort,
): Words | undefined {
  const { port, families } = asked
  if (addressType !== 'IPv4' && addressType !== 'IPv6') {
    const type = typeof addressType === 'string' ? printableName(addressType) : 'none'
    return ['ADDRESS_TYPE', `has addressType ${type} (${listed}), and kube-proxy uses only IPv4 and IPv6`]
  }
  if (addressType !== port.family) {
    // A dual-stack Service has slices of both families.
    if (families.has(addressType)) return undefined
    return ['OTHER_FAMILY', `has addressType ${addressType} (${listed}), and the Service has only ${port.family}`]
  }
  if (!hasEndpoints) return ['NO_ENDPOINTS', 'lists no endpoint']
  if (ports.length === 0) return ['NO_PORTS', `lists ${listed} without any port${namedTargetWords(asked)}`]
  const ours = named.get(port.portName) ?? []
  const matching = ours.filter(({ protocol }) => protocolOf(protocol) === port.protocol)
  if (matching.length > 0)
    return matching.every((entry) => entry['port'] == null || entry['port'] === 0)
      ? ['NO_PORT_NUMBER', `lists ${listed} under ${portText(matching[0])} without a port number`]
      : ['NO_ADDRESS', `lists ${listed}, none of which is an ${port.family} address that can be used`]
  if (ours.length > 0) {
    const [theirs, own] = [ours.map(protocolText), protocolText({ name: port.portName, protocol: port.protocol })]
    return ['OTHER_PROTOCOL', `lists ${listed} under ${listText(theirs)}, and the Service's port is ${own}`]
  }
  if (named.size === 0) {
    const name = port.portName === '' ? 'empty' : port.portName
    return [
      'NO_PORT_NAME',
      `lists ${listed} under a port whose name is nil, which kube-proxy ignores: it must be ${name}`,
    ]
  }
  const under = listText(ports.slice(0, MOST_SHOWN + 1).map(portText), ports.length)
  const own = port.portName === '' ? 'has no name' : `is named ${port.portName}`
  return ['OTHER_PORT_NAME', `lists ${listed} under ${under}, and the Service's port ${own}${namedTargetWords(asked)}`]
}

function stalenessOf(slice: KubernetesObject, service: KubernetesObject): readonly SliceFinding[] {
  const { uid, name } = service.metadata
  const owner = listOf(slice.metadata['ownerReferences'])
    .map(recordOf)
    .find(({ kind, name: owning }) => kind === 'Service' && owning === name)
  const findings: SliceFinding[] = []
  if (typeof uid === 'string' && typeof owner?.['uid'] === 'string' && owner['uid'] !== uid)
    findings.push(
      finding(slice, 'EARLIER_SERVICE', 'is of an earlier Service of this name, and is used until it is deleted'),
    )
  const manager = recordOf(slice.metadata['labels'])[MANAGED_BY]
  if (typeof manager === 'string' && manager.startsWith(MIRRORING_CONTROLLER) && selectorOf(service) !== undefined)
    findings.push(
      finding(
        slice,
        'MIRRORED',
        'is mirrored from an Endpoints object, and the Service has a selector: its endpoints are used beside the selected ones',
      ),
    )
  if (typeof manager === 'string' && manager.startsWith(SLICE_CONTROLLER) && selectorOf(service) === undefined)
    findings.push(
      finding(
        slice,
        'NO_SELECTOR',
        'was written by the EndpointSlice controller, and the Service has no selector now: it is used, and nothing updates it',
      ),
    )
  return findings
}

/** A slice that looks as if it were the Service's, and is not. */
function lookalike(object: KubernetesObject, service: KubernetesObject): SliceFinding | undefined {
  const { namespace, name } = service.metadata
  const { metadata } = object
  if (object.kind !== 'EndpointSlice' || (metadata.namespace ?? '') !== (namespace ?? '')) return undefined
  const label = serviceLabelOf(object) ?? ''
  if (label === name) return undefined
  const isOwned = listOf(metadata['ownerReferences'])
    .map(recordOf)
    .some((owner) => owner['kind'] === 'Service' && owner['name'] === name)
  const isNamed = isOwned || metadata.name === name || metadata['generateName'] === `${name}-`
  if (label === '' && (isNamed || metadata.name.startsWith(`${name}-`)))
    return finding(object, 'NO_SERVICE_LABEL', `has no label ${SERVICE_NAME_LABEL}, so that it belongs to no Service`)
  if (label === '' || !isNamed) return undefined
  return finding(
    object,
    'OTHER_SERVICE_LABEL',
    `has the label ${SERVICE_NAME_LABEL}=${printableName(label)}: it belongs to that Service`,
  )
}

const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
const MIRRORING_CONTROLLER = 'endpointslicemirroring-controller'
const SLICE_CONTROLLER = 'endpointslice-controller'

/** The EndpointSlice controller lists a Pod without the ports for which it finds no container port of the name. */
const namedTargetWords = ({ port, service, targetPorts }: ComparedPort): string => {
  const target = targetPorts.get(portKey(port))
  return target === undefined || selectorOf(service) === undefined
    ? ''
    : `; that is how a Pod is listed without a container port ${printableName(target)} (targetPort)`
}

/** `http/TCP`: which port of a Service, whatever its family. */
export const portKey = ({ portName, protocol }: Pick<ServicePort, 'portName' | 'protocol'>): string =>
  `${portName}/${protocol}`

/** The targetPorts that are names, by `portKey`. */
export function namedTargetPorts(service: KubernetesObject): ReadonlyMap<string, string> {
  const targets = new Map<string, string>()
  for (const { name, protocol: text, targetPort } of listOf(recordOf(service['spec'])['ports']).map(recordOf)) {
    const protocol = protocolOf(text)
    if (typeof targetPort !== 'string' || protocol === undefined) continue
    const key = portKey({ portName: typeof name === 'string' ? name : '', protocol })
    if (!targets.has(key)) targets.set(key, targetPort)
  }
  return targets
}

/** The selector of a Service; undefined where it has none. */
export function selectorOf(service: KubernetesObject): JsonObject | undefined {
  const { selector } = recordOf(service['spec'])
  return isJsonObject(selector) && Object.keys(selector).length > 0 ? selector : undefined
}

const recordOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : [])

/** `port web`, `the unnamed port`. */
const portText = (entry: JsonObject | undefined): string => {
  const name = entry?.['name']
  if (name === '') return 'the unnamed port'
  return typeof name === 'string' ? `port ${printableName(name)}` : 'a port whose name is nil'
}

/** `dns/TCP`, `UDP` for an unnamed port. */
function protocolText({ name, protocol }: JsonObject): string {
  const text =
    protocol == null || protocol === '' ? 'TCP' : typeof protocol === 'string' ? printableName(protocol) : 'no protocol'
  return typeof name === 'string' && name !== '' ? `${printableName(name)}/${text}` : text
}

/** `10.244.1.81, 10.244.1.82 and 3 more`: the first address of each endpoint. */
const addressesText = (endpoints: readonly Json[]): string =>
  endpoints.length === 0
    ? 'no endpoint'
    : listText(
        endpoints.slice(0, MOST_SHOWN + 1).map((endpoint) => {
          const [first] = listOf(recordOf(endpoint)['addresses'])
          return typeof first === 'string' ? printableName(first) : 'an endpoint without an address'
        }),
        endpoints.length,
      )

const MOST_SHOWN = 2

const listText = (texts: readonly string[], count?: number): string => shortList(texts, MOST_SHOWN, count)
