import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'

/** What a request's path leads to: `services` for `/api/v1/services`. */
export type ResourceName = 'services' | 'endpointslices' | 'nodes' | 'servicecidrs'

export interface ApiResource {
  readonly name: ResourceName
  /** Empty: the core group. */
  readonly group: string
  readonly apiVersion: string
  readonly kind: ObjectKind
  /** Of all namespaces. */
  readonly path: string
  readonly isNamespaced: boolean
  /** What a bookmark's object has besides its metadata: the fields that are written even when they are empty. */
  readonly empty: JsonObject
  /** Fields that a field selector may name besides metadata.name and metadata.namespace, as paths. */
  readonly selectableFields: readonly string[]
}

export const API_RESOURCES: { readonly [name in ResourceName]: ApiResource } = {
  services: {
    name: 'services',
    group: '',
    apiVersion: 'v1',
    kind: 'Service',
    path: '/api/v1/services',
    isNamespaced: true,
    empty: { spec: {}, status: { loadBalancer: {} } },
    selectableFields: ['spec.clusterIP', 'spec.type'],
  },
  endpointslices: {
    name: 'endpointslices',
    group: 'discovery.k8s.io',
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    isNamespaced: true,
    empty: { addressType: '', endpoints: null, ports: null },
    selectableFields: [],
  },
  nodes: {
    name: 'nodes',
    group: '',
    apiVersion: 'v1',
    kind: 'Node',
    path: '/api/v1/nodes',
    isNamespaced: false,
    empty: { spec: {}, status: { daemonEndpoints: { kubeletEndpoint: { Port: 0 } } } },
    selectableFields: ['spec.unschedulable'],
  },
  servicecidrs: {
    name: 'servicecidrs',
    group: 'networking.k8s.io',
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    path: '/apis/networking.k8s.io/v1/servicecidrs',
    isNamespaced: false,
    empty: { spec: {}, status: {} },
    selectableFields: [],
  },
}

const BY_KIND: { readonly [kind in ObjectKind]: ResourceName } = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  Node: 'nodes',
  ServiceCIDR: 'servicecidrs',
}

export const resourceOf = (object: { readonly kind: ObjectKind }): ApiResource => API_RESOURCES[BY_KIND[object.kind]]

/** `namespace/name`, of a Node its name: what lists are ordered by. */
export const keyOf = ({ metadata: { namespace, name } }: KubernetesObject): string =>
  namespace === undefined ? name : `${namespace}/${name}`

/** The text at a path (`spec.clusterIP`); empty where there is none, as a field selector sees it. */
export function fieldText(object: JsonObject, path: string): string {
  const value = path
    .split('.')
    .reduce<Json | undefined>((at, name) => (isJsonObject(at) ? at[name] : undefined), object)
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : ''
}
