import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import type { WatchEvent } from '../model/watch-event.js'

/** Objects for tests, as an API server would serve them, from the few fields that a test is about. */
export interface ServiceFields {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly createdAt?: string
  readonly labels?: JsonObject
  /** Over the defaults: a ClusterIP Service on 10.96.0.1 with one port, http, TCP 80. */
  readonly spec?: JsonObject
  readonly status?: JsonObject
}

export function service({
  name,
  namespace = 'shop',
  spec = {},
  status = { loadBalancer: {} },
  ...rest
}: ServiceFields): KubernetesObject {
  return {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: metadata({ name, namespace, ...rest }),
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.1',
      clusterIPs: [typeof spec['clusterIP'] === 'string' ? spec['clusterIP'] : '10.96.0.1'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      selector: { app: name },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }],
      ...spec,
    },
    status,
  }
}

export interface SliceFields {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  /** The Service that owns it; null: no label. */
  readonly service: string | null
  readonly addressType?: string
  /** An address alone is a ready endpoint. */
  readonly endpoints: readonly (string | JsonObject)[]
  readonly ports?: readonly JsonObject[]
}

export function slice({
  name,
  namespace = 'shop',
  endpoints,
  ports,
  service: owner,
  addressType = 'IPv4',
  ...rest
}: SliceFields): KubernetesObject {
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: metadata({
      name,
      namespace,
      ...rest,
      labels: owner === null ? {} : { 'kubernetes.io/service-name': owner },
    }),
    addressType,
    endpoints: endpoints.map((endpoint) => (typeof endpoint === 'string' ? readyEndpoint(endpoint) : endpoint)),
    ports: ports ?? [{ name: 'http', protocol: 'TCP', port: 8080 }],
  }
}

const readyEndpoint = (address: string): JsonObject => ({
  addresses: [address],
  conditions: { ready: true, serving: true, terminating: false },
  nodeName: 'node-a',
  zone: 'zone-a',
})

export interface NodeFields {
  readonly name: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly zone?: string
  readonly addresses?: readonly string[]
  readonly podCIDRs?: readonly string[]
  readonly taints?: readonly JsonObject[]
}

export function node({
  name,
  zone = 'zone-a',
  addresses = ['192.168.55.10'],
  podCIDRs = ['10.244.1.0/24'],
  taints = [],
  ...rest
}: NodeFields): KubernetesObject {
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: metadata({ name, ...rest, labels: zone === '' ? {} : { 'topology.kubernetes.io/zone': zone } }),
    spec: { podCIDRs, taints },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  }
}

interface ServiceCidrFields {
  readonly name: string
  readonly cidrs: readonly string[]
  readonly ready?: boolean
  readonly deleting?: boolean
}

export function serviceCidr({ name, cidrs, ready = true, deleting = false }: ServiceCidrFields): KubernetesObject {
  return {
    kind: 'ServiceCIDR',
    apiVersion: 'networking.k8s.io/v1',
    metadata: { name, ...(deleting && { deletionTimestamp: '2026-01-20T00:00:00Z' }) },
    spec: { cidrs },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }
}

/** Events of objects, a second apart from a fixed time on, with resourceVersions that rise where none is given. */
export function createEventMaker(startMs = Date.UTC(2026, 0, 1)): {
  readonly added: (object: KubernetesObject) => WatchEvent
  readonly modified: (object: KubernetesObject) => WatchEvent
  readonly deleted: (object: KubernetesObject) => WatchEvent
  readonly listed: (kind: ObjectKind) => WatchEvent
} {
  let count = 0
  const make =
    (type: 'ADDED' | 'MODIFIED' | 'DELETED') =>
    (object: KubernetesObject): WatchEvent => {
      const resourceVersion = object.metadata['resourceVersion'] ?? String(1000 + ++count)
      return {
        type,
        observedAt: startMs + ++count * 1000,
        object: { ...object, metadata: { ...object.metadata, resourceVersion } },
      }
    }
  return {
    added: make('ADDED'),
    modified: make('MODIFIED'),
    deleted: make('DELETED'),
    listed: (kind) => ({
      type: 'BOOKMARK',
      kind,
      resourceVersion: String(1000 + ++count),
      initialEventsEnd: true,
      observedAt: startMs + ++count * 1000,
    }),
  }
}

function metadata({
  createdAt,
  labels = {},
  uid,
  ...rest
}: {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly createdAt?: string
  readonly labels?: Json
}): KubernetesObject['metadata'] {
  return {
    ...rest,
    uid: uid ?? `uid-${rest.namespace ?? ''}-${rest.name}`,
    creationTimestamp: createdAt ?? '2026-01-01T00:00:00Z',
    labels,
  }
}
