import { isJsonObject } from './json-value.js'
import { API_VERSIONS, type Json, type JsonObject } from './kubernetes-object.js'
import { SERVICE_NAME_LABEL } from './names.js'

/* Objects of older versions, and those that are read as EndpointSlices of discovery.k8s.io/v1 and are none. */

/** Served until Kubernetes 1.24. */
const OLD_VERSION = 'discovery.k8s.io/v1beta1'
/** Served from Kubernetes 1.31; v1 from 1.33. */
const OLD_SERVICE_CIDR = 'networking.k8s.io/v1beta1'

export const isOldSlice = ({ kind, apiVersion }: JsonObject): boolean =>
  kind === 'EndpointSlice' && apiVersion === OLD_VERSION

/**
 * An EndpointSlice of discovery.k8s.io/v1beta1 as one of v1: an endpoint's node and zone, which stood in its `topology`, in fields of
 * their own. The kube-proxies of that version read the node from there as well. A ServiceCIDR of v1beta1 has the fields of
 * v1. Every other object is given back as it is.
 */
export function asCurrentVersion(object: JsonObject): JsonObject {
  if (object['kind'] === 'ServiceCIDR' && object['apiVersion'] === OLD_SERVICE_CIDR)
    return { ...object, apiVersion: API_VERSIONS.ServiceCIDR }
  if (!isOldSlice(object)) return object
  const { endpoints } = object
  const current = { ...object, apiVersion: API_VERSIONS.EndpointSlice }
  if (!Array.isArray(endpoints)) return current
  return { ...current, endpoints: (endpoints as readonly Json[]).map(endpointOfV1) }
}

function endpointOfV1(endpoint: Json): Json {
  if (!isJsonObject(endpoint)) return endpoint
  const { topology, ...fields } = endpoint
  if (!isJsonObject(topology)) return fields
  return {
    ...fields,
    nodeName: fields['nodeName'] ?? topology['kubernetes.io/hostname'],
    zone: fields['zone'] ?? topology['topology.kubernetes.io/zone'],
  }
}

/** Whether an object is an Endpoints, which kube-proxies read by default before 1.19, and could until 1.21. */
export const isEndpoints = ({ kind, apiVersion }: JsonObject): boolean =>
  kind === 'Endpoints' && (apiVersion === undefined || apiVersion === 'v1')

/**
 * An Endpoints as the one EndpointSlice of its Service: of its name, with its `subsets` in place of endpoints and ports, which
 * `endpointsOfSlice` reads. Used in place of the Service's slices, never beside them.
 */
export function sliceOfEndpoints(endpoints: JsonObject): JsonObject {
  const { subsets, metadata } = endpoints
  if (!isJsonObject(metadata)) return { kind: 'EndpointSlice', metadata }
  const labels = isJsonObject(metadata['labels']) ? metadata['labels'] : {}
  return {
    apiVersion: API_VERSIONS.EndpointSlice,
    kind: 'EndpointSlice',
    metadata: { ...metadata, labels: { ...labels, [SERVICE_NAME_LABEL]: metadata['name'] } },
    subsets: subsets ?? [],
  }
}

/** The addresses in the subsets of such a slice, whether ready or not. */
export function* addressesOfSubsets({ subsets }: JsonObject): Generator<string> {
  for (const subset of itemsOf(subsets))
    for (const field of ['addresses', 'notReadyAddresses'])
      for (const { ip } of itemsOf(subset[field])) if (typeof ip === 'string') yield ip
}

const itemsOf = (list: Json | undefined): readonly JsonObject[] =>
  Array.isArray(list) ? (list as readonly Json[]).filter(isJsonObject) : []
