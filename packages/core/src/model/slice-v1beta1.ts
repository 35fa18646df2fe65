import { isJsonObject } from './json-value.js'
import { API_VERSIONS, type Json, type JsonObject } from './kubernetes-object.js'

/** Served until Kubernetes 1.24. */
const OLD_VERSION = 'discovery.k8s.io/v1beta1'

export const isOldSlice = ({ kind, apiVersion }: JsonObject): boolean =>
  kind === 'EndpointSlice' && apiVersion === OLD_VERSION

/**
 * An EndpointSlice of discovery.k8s.io/v1beta1 as one of v1: an endpoint's node and zone, which stood in its `topology`, in fields of
 * their own. The kube-proxies of that version read the node from there as well. Every other object is given back as it is.
 */
export function asCurrentVersion(object: JsonObject): JsonObject {
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
