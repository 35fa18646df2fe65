import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import type { WatchEvent } from '../model/watch-event.js'

export interface ChurnOptions {
  readonly services: number
  /** Events after the lists, bookmarks and heartbeats not counted; the lists are two events a Service, and one for each Node. */
  readonly events: number
  readonly endpointsPerService?: number
  readonly seed?: number
  /**
   * So many Nodes, each with a pod CIDR that its pods have their addresses from and a heartbeat every five minutes; every tenth Service has a node
   * port, and external policy Local. Absent: one Node, of 100 that pods are on, and cluster IPs alone.
   */
  readonly nodes?: number
  /** The mean time from one change of a Service or slice to the next. */
  readonly changeEveryMs?: number
}

const NODES = 100
const START = Date.UTC(2026, 0, 1)
const PORTS = [{ name: 'http', protocol: 'TCP', port: 8080 }]

interface Endpoint {
  readonly address: string
  readonly node: number
  readonly pod: string
  readonly state: 'starting' | 'ready' | 'terminating'
}

interface Workload {
  readonly index: number
  readonly namespace: string
  readonly name: string
  generation: number
  serviceVersion: number
  label: number
  endpoints: readonly Endpoint[]
}

/**
 * Watch events like those of a busy cluster, the same for the same options: the lists of Services, slices and Nodes,
 * then nine in ten events from rolling updates (a pod starts, is ready, an old one terminates and goes), readiness that
 * flaps, now and then an edit of a Service. Objects carry what an API server sends: uids, owners, managedFields.
 */
export function* churn(options: ChurnOptions): Generator<WatchEvent> {
  const { services, events, endpointsPerService = 5, seed = 1, nodes, changeEveryMs = 200 } = options
  const random = createRandom(seed)
  let version = 1000
  let pods = 0
  let observedAt = START

  const newEndpoint = (state: Endpoint['state']): Endpoint => {
    const pod = pods++
    const node = pod % (nodes ?? NODES)
    const address =
      nodes === undefined
        ? `10.${64 + ((pod >> 16) & 63)}.${(pod >> 8) & 255}.${pod & 255}`
        : `${podNetwork(node)}.${1 + (Math.floor(pod / nodes) % 254)}`
    return { address, node, pod: `pod-${pod}`, state }
  }
  const workloads = Array.from({ length: services }, (_, index): Workload => {
    const endpoints = Array.from({ length: endpointsPerService }, () => newEndpoint('ready'))
    return {
      index,
      namespace: `team-${index % 50}`,
      name: `service-${index}`,
      generation: 1,
      serviceVersion: 1,
      label: 0,
      endpoints,
    }
  })
  const service = (type: 'ADDED' | 'MODIFIED', workload: Workload): WatchEvent => ({
    type,
    observedAt,
    object: serviceObject(workload, {
      version: ++version,
      observedAt,
      hasNodePort: nodes !== undefined && workload.index % 10 === 0,
    }),
  })
  const slice = (type: 'ADDED' | 'MODIFIED', workload: Workload): WatchEvent => ({
    type,
    observedAt,
    object: sliceObject(workload, ++version, observedAt),
  })

  for (let node = 0; node < (nodes ?? 1); node++)
    yield { type: 'ADDED', observedAt, object: nodeObject(node, ++version, observedAt) }
  for (const workload of workloads) yield service('ADDED', workload)
  for (const workload of workloads) yield slice('ADDED', workload)
  for (const kind of ['Node', 'Service', 'EndpointSlice'] as const) {
    yield { type: 'BOOKMARK', kind, resourceVersion: String(version), initialEventsEnd: true, observedAt }
  }

  let beats = 0
  for (let count = 0; count < events; count++) {
    observedAt += 1 + Math.floor(random() * 2 * changeEveryMs)
    const due = Math.ceil(((observedAt - START) / HEARTBEAT_MS) * (nodes ?? 0))
    for (; beats < due; beats++) {
      const object = nodeObject(beats % (nodes ?? 1), ++version, observedAt)
      yield { type: 'MODIFIED', observedAt, object }
    }
    // Some workloads are rolled out again and again, most hardly ever.
    const workload = workloads[Math.floor(random() ** 3 * services)]
    if (workload === undefined) continue
    if (random() < 0.02) {
      workload.serviceVersion++
      workload.label++
      yield service('MODIFIED', workload)
    } else {
      workload.generation++
      workload.endpoints = nextEndpoints(workload.endpoints, { random, newEndpoint, wanted: endpointsPerService })
      yield slice('MODIFIED', workload)
    }
  }
}

/** One step of a rolling update; where none is under way a flap of readiness, or the first step of the next. */
function nextEndpoints(
  endpoints: readonly Endpoint[],
  {
    random,
    newEndpoint,
    wanted,
  }: { random: () => number; newEndpoint: (state: Endpoint['state']) => Endpoint; wanted: number },
): readonly Endpoint[] {
  const terminating = endpoints.find(({ state }) => state === 'terminating')
  if (terminating !== undefined) return endpoints.filter((endpoint) => endpoint !== terminating)
  const starting = endpoints.find(({ state }) => state === 'starting')
  if (starting !== undefined)
    return endpoints.map((endpoint) => (endpoint === starting ? { ...endpoint, state: 'ready' } : endpoint))
  if (endpoints.length > wanted)
    return endpoints.map((endpoint, i) => (i === 0 ? { ...endpoint, state: 'terminating' } : endpoint))
  if (random() < 0.3) {
    const flapping = Math.floor(random() * endpoints.length)
    return endpoints.map((endpoint, i) => (i === flapping ? { ...endpoint, state: 'starting' } : endpoint))
  }
  return [...endpoints, newEndpoint('starting')]
}

function serviceObject(
  { index, namespace, name, serviceVersion, label }: Workload,
  { version, observedAt, hasNodePort }: { version: number; observedAt: number; hasNodePort: boolean },
): KubernetesObject {
  const clusterIP = `10.${96 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
  return {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: {
      name,
      namespace,
      uid: uid('5e41', index),
      resourceVersion: String(version),
      creationTimestamp: timestamp(START),
      labels: { app: name, release: `r${label}` },
      managedFields: [
        managed('deployer', START, {
          'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
          'f:spec': {
            'f:ports': {
              '.': {},
              'k:{"port":80,"protocol":"TCP"}': {
                '.': {},
                'f:name': {},
                'f:port': {},
                'f:protocol': {},
                'f:targetPort': {},
              },
            },
            'f:selector': {},
            'f:sessionAffinity': {},
            'f:type': {},
          },
        }),
        ...(serviceVersion > 1
          ? [managed('kubectl-edit', observedAt, { 'f:metadata': { 'f:labels': { 'f:release': {} } } })]
          : []),
      ],
    },
    spec: {
      ports: [
        {
          name: 'http',
          protocol: 'TCP',
          port: 80,
          targetPort: 8080,
          ...(hasNodePort && { nodePort: 30_000 + Math.floor(index / 10) }),
        },
      ],
      selector: { app: name },
      clusterIP,
      clusterIPs: [clusterIP],
      type: hasNodePort ? 'NodePort' : 'ClusterIP',
      ...(hasNodePort && { externalTrafficPolicy: 'Local' }),
      sessionAffinity: 'None',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
    },
    status: { loadBalancer: {} },
  }
}

function sliceObject(
  { index, namespace, name, generation, endpoints }: Workload,
  version: number,
  observedAt: number,
): KubernetesObject {
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name: `${name}-x7k2p`,
      generateName: `${name}-`,
      namespace,
      uid: uid('511c', index),
      resourceVersion: String(version),
      generation,
      creationTimestamp: timestamp(START),
      labels: {
        app: name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        'kubernetes.io/service-name': name,
      },
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': timestamp(observedAt) },
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name,
          uid: uid('5e41', index),
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [
        managed('kube-controller-manager', observedAt, {
          'f:addressType': {},
          'f:endpoints': {},
          'f:metadata': {
            'f:annotations': { '.': {}, 'f:endpoints.kubernetes.io/last-change-trigger-time': {} },
            'f:generateName': {},
            'f:labels': {
              '.': {},
              'f:app': {},
              'f:endpointslice.kubernetes.io/managed-by': {},
              'f:kubernetes.io/service-name': {},
            },
            'f:ownerReferences': { '.': {}, [`k:{"uid":"${uid('5e41', index)}"}`]: {} },
          },
          'f:ports': {},
        }),
      ],
    },
    addressType: 'IPv4',
    endpoints: endpoints.map(({ address, node, pod, state }) => ({
      addresses: [address],
      conditions: { ready: state === 'ready', serving: state !== 'starting', terminating: state === 'terminating' },
      targetRef: { kind: 'Pod', namespace, name: `${name}-${pod}`, uid: uid('90d0', Number(pod.slice(4))) },
      nodeName: `node-${node}`,
      zone: `zone-${node % 3}`,
    })),
    ports: PORTS,
  }
}

/** A kubelet reports an unchanged status so often (nodeStatusReportFrequency); it renews its Lease in between, which nobody here watches. */
const HEARTBEAT_MS = 300_000

/** The first three bytes of the pod CIDR of a Node. */
const podNetwork = (node: number): string => `10.${64 + (node >> 8)}.${node & 255}`

const nodeObject = (node: number, version: number, observedAt: number): KubernetesObject => ({
  kind: 'Node',
  apiVersion: 'v1',
  metadata: {
    name: `node-${node}`,
    uid: uid('40de', node),
    resourceVersion: String(version),
    creationTimestamp: timestamp(START),
    labels: { 'topology.kubernetes.io/zone': `zone-${node % 3}` },
  },
  spec: { podCIDRs: [`${podNetwork(node)}.0/24`] },
  status: {
    addresses: [{ type: 'InternalIP', address: `192.168.${55 + ((10 + node) >> 8)}.${(10 + node) & 255}` }],
    conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: timestamp(observedAt) }],
  },
})

const managed = (manager: string, time: number, fieldsV1: JsonObject): JsonObject => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: timestamp(time),
  fieldsType: 'FieldsV1',
  fieldsV1,
})

const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

const uid = (kind: string, index: number): string =>
  `${index.toString(16).padStart(8, '0')}-${kind}-4000-8000-000000000000`

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
