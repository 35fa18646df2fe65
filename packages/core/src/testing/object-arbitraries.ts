import fc from 'fast-check'
import type { JsonObject, KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'

/** Small pools, so that names collide, endpoints are shared, labels move and fronts overlap. */
const NAMESPACES = ['default', 'shop'] as const
const SERVICES = ['web', 'checkout', 'dns'] as const
const NODES = ['node-a', 'node-b', 'node-c'] as const
const ZONES = ['zone-a', 'zone-b'] as const
const PORT_NAMES = ['', 'http', 'metrics'] as const
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const

const digit = fc.integer({ min: 1, max: 4 })
const CLUSTER_IPS = { IPv4: digit.map((n) => `10.96.0.${n}`), IPv6: digit.map((n) => `fd00:10:96::${n}`) } as const
const POD_IPS = {
  IPv4: fc.tuple(digit, fc.constantFrom(1, 2, 10, 100)).map(([node, pod]) => `10.244.${node}.${pod}`),
  IPv6: fc.tuple(digit, fc.constantFrom('1', '2', 'a', '1f')).map(([node, pod]) => `fd00:10:244:${node}::${pod}`),
} as const
const OUTSIDE_IPS = { IPv4: digit.map((n) => `203.0.113.${n}`), IPv6: digit.map((n) => `2001:db8::${n}`) } as const
const RANGES = ['10.0.0.0/8', '192.0.2.7/24', ' 0.0.0.0/0 ', 'fd00::/8', '::/0'] as const
type Family = keyof typeof CLUSTER_IPS

const families = fc.constantFrom<readonly Family[]>(['IPv4'], ['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4'])

/** As fast-check's `option`, but the key is absent, as in what an API server sends. */
const sometimes = <Value>(
  field: string,
  value: fc.Arbitrary<Value>,
): fc.Arbitrary<{ readonly [field: string]: Value }> =>
  fc.oneof(
    fc.constant({}),
    value.map((given) => ({ [field]: given })),
  )

/** Services that an API server would serve; of every type, skipped ones included. */
export const serviceArbitrary = (): fc.Arbitrary<KubernetesObject> =>
  fc
    .record({
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom(...SERVICES),
      labels: fc.oneof(
        { weight: 9, arbitrary: fc.constant({}) },
        { weight: 1, arbitrary: fc.constant({ 'service.kubernetes.io/service-proxy-name': 'other' }) },
      ),
      created: fc.integer({ min: 10, max: 14 }),
      families,
    })
    .chain(({ namespace, name, labels, created, families: chosen }) =>
      fc.record({ spec: specArbitrary(chosen), status: statusArbitrary(chosen) }).map(({ spec, status }) => ({
        kind: 'Service',
        apiVersion: 'v1',
        metadata: {
          ...identity({ kind: 'Service', namespace, name }),
          labels,
          creationTimestamp: `2026-01-${created}T00:00:00Z`,
        },
        spec,
        status,
      })),
    )

function specArbitrary(chosen: readonly Family[]): fc.Arbitrary<JsonObject> {
  const addresses = fc.tuple(...chosen.map((family) => CLUSTER_IPS[family]))
  const [first = 'IPv4'] = chosen
  const clustered = fc
    .record({
      type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
      clusterIPs: addresses,
      ports: fc.uniqueArray(portArbitrary, {
        minLength: 1,
        maxLength: 3,
        selector: ({ name, protocol }) => `${name}/${protocol}`,
      }),
      policies: fc.tuple(fc.constantFrom('Cluster', 'Local'), fc.constantFrom('Cluster', 'Local')),
      external: sometimes(
        'externalIPs',
        fc.array(fc.oneof(...chosen.map((family) => OUTSIDE_IPS[family])), { maxLength: 2 }),
      ),
      ranges: sometimes('loadBalancerSourceRanges', fc.array(fc.constantFrom(...RANGES), { maxLength: 2 })),
      affinity: affinityArbitrary,
      healthCheckNodePort: fc.integer({ min: 31000, max: 31002 }),
    })
    .map(
      ({ type, clusterIPs, ports, policies: [internal, policy], external, ranges, affinity, healthCheckNodePort }) => {
        const exposed = type !== 'ClusterIP'
        return {
          type,
          clusterIP: clusterIPs[0] ?? '',
          clusterIPs,
          ipFamilies: chosen,
          ipFamilyPolicy: chosen.length > 1 ? 'RequireDualStack' : 'SingleStack',
          internalTrafficPolicy: internal,
          ports: ports.map(({ nodePort, ...port }) => (exposed && nodePort !== 0 ? { ...port, nodePort } : port)),
          ...(exposed || external['externalIPs'] !== undefined ? { externalTrafficPolicy: policy } : {}),
          ...(type === 'LoadBalancer' && policy === 'Local' ? { healthCheckNodePort } : {}),
          ...(type === 'LoadBalancer' ? ranges : {}),
          ...external,
          ...affinity,
        }
      },
    )
  return fc.oneof(
    { weight: 9, arbitrary: clustered },
    {
      weight: 1,
      arbitrary: fc.constant({ type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'], ipFamilies: [first] }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'ExternalName', externalName: 'example.com' }) },
  )
}

const affinityArbitrary = fc.oneof(
  fc.constant({ sessionAffinity: 'None' }),
  fc.constantFrom(1, 10_800, 86_400).map((timeoutSeconds) => ({
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds } },
  })),
)

const portArbitrary = fc.record({
  name: fc.constantFrom(...PORT_NAMES),
  protocol: fc.constantFrom(...PROTOCOLS),
  port: fc.constantFrom(53, 80, 443),
  nodePort: fc.constantFrom(0, 30_080, 30_443),
})

const statusArbitrary = (chosen: readonly Family[]): fc.Arbitrary<JsonObject> => {
  const ingress = fc.oneof(
    fc.constant({ hostname: 'lb.example.com' }),
    fc
      .tuple(
        fc.oneof(...chosen.map((family) => OUTSIDE_IPS[family])),
        sometimes('ipMode', fc.constantFrom('VIP', 'Proxy')),
      )
      .map(([ip, mode]) => ({ ip, ...mode })),
  )
  return sometimes('ingress', fc.array(ingress, { maxLength: 3 })).map((loadBalancer) => ({ loadBalancer }))
}

/** Slices that an API server would serve, of services that may or may not exist, in either family. */
export const endpointSliceArbitrary = (): fc.Arbitrary<KubernetesObject> =>
  fc
    .record({
      namespace: fc.constantFrom(...NAMESPACES),
      number: fc.integer({ min: 1, max: 3 }),
      service: fc.constantFrom(...SERVICES),
      addressType: fc.constantFrom<Family>('IPv4', 'IPv6'),
      ports: fc.oneof(
        fc.constant(null),
        fc.uniqueArray(slicePortArbitrary, { maxLength: 3, selector: ({ name, protocol }) => `${name}/${protocol}` }),
      ),
    })
    .chain(({ namespace, number, service, addressType, ports }) =>
      fc
        .oneof(
          { weight: 1, arbitrary: fc.constant(null) },
          { weight: 9, arbitrary: fc.array(endpointArbitrary(addressType), { maxLength: 5 }) },
        )
        .map((endpoints) => ({
          kind: 'EndpointSlice',
          apiVersion: 'discovery.k8s.io/v1',
          // The address type of a slice never changes.
          metadata: {
            ...identity({ kind: 'EndpointSlice', namespace, name: `slice-${addressType.toLowerCase()}-${number}` }),
            labels: { 'kubernetes.io/service-name': service },
          },
          addressType,
          endpoints,
          ports,
        })),
    )

const slicePortArbitrary = fc.record({
  name: fc.constantFrom(...PORT_NAMES),
  protocol: fc.constantFrom(...PROTOCOLS),
  port: fc.constantFrom(80, 8080, 9090),
})

/** One entry of a slice's `endpoints`. */
const endpointArbitrary = (family: Family): fc.Arbitrary<JsonObject> =>
  fc
    .record({
      addresses: fc.array(POD_IPS[family], { minLength: 1, maxLength: 2 }),
      conditions: fc.tuple(...['ready', 'serving', 'terminating'].map((field) => sometimes(field, fc.boolean()))),
      node: sometimes('nodeName', fc.constantFrom(...NODES)),
      zone: sometimes('zone', fc.constantFrom(...ZONES)),
      hints: sometimes(
        'hints',
        fc
          .tuple(hintsOf('forZones', ZONES), hintsOf('forNodes', NODES))
          .map(([zones, nodes]) => ({ ...zones, ...nodes })),
      ),
      target: sometimes(
        'targetRef',
        fc.integer({ min: 1, max: 9 }).map((n) => ({ kind: 'Pod', name: `pod-${n}` })),
      ),
    })
    .map(({ addresses, conditions, node, zone, hints, target }) => ({
      addresses,
      conditions: Object.assign({}, ...conditions) as JsonObject,
      ...node,
      ...zone,
      ...hints,
      ...target,
    }))

const hintsOf = (field: string, names: readonly string[]): fc.Arbitrary<JsonObject> =>
  sometimes(
    field,
    fc.array(fc.constantFrom(...names), { maxLength: 2 }).map((chosen) => chosen.map((name) => ({ name }))),
  )

/** Nodes that an API server would serve. */
export const nodeArbitrary = (): fc.Arbitrary<KubernetesObject> =>
  fc
    .record({
      name: fc.constantFrom(...NODES),
      zone: sometimes('topology.kubernetes.io/zone', fc.constantFrom(...ZONES)),
      addresses: fc.array(
        fc.record({
          type: fc.constantFrom('InternalIP', 'ExternalIP'),
          address: fc.constantFrom('192.168.55.10', '192.168.55.11', '203.0.113.9', 'fd00:55::10'),
        }),
        { maxLength: 3 },
      ),
      podCIDRs: sometimes('podCIDRs', fc.subarray(['10.244.1.0/24', 'fd00:10:244:1::/64'])),
      taints: sometimes(
        'taints',
        fc.constant([{ key: 'ToBeDeletedByClusterAutoscaler', value: '1', effect: 'NoSchedule' }]),
      ),
      deleting: fc.oneof(
        { weight: 9, arbitrary: fc.constant({}) },
        { weight: 1, arbitrary: fc.constant({ deletionTimestamp: '2026-01-20T00:00:00Z' }) },
      ),
    })
    .map(({ name, zone, addresses, podCIDRs, taints, deleting }) => ({
      kind: 'Node',
      apiVersion: 'v1',
      metadata: { ...identity({ kind: 'Node', name }), labels: zone, ...deleting },
      spec: { ...podCIDRs, ...taints },
      status: { addresses: [...addresses, { type: 'Hostname', address: name }] },
    }))

/** ServiceCIDRs that an API server would serve: of one or both families, ready or terminating. */
export const serviceCidrArbitrary = (): fc.Arbitrary<KubernetesObject> =>
  fc
    .record({
      name: fc.constantFrom('kubernetes', 'more'),
      cidrs: fc.subarray(['10.96.0.0/12', 'fd00:10:96::/112'], { minLength: 1 }),
      deleting: fc.oneof(
        { weight: 9, arbitrary: fc.constant({}) },
        { weight: 1, arbitrary: fc.constant({ deletionTimestamp: '2026-01-20T00:00:00Z' }) },
      ),
    })
    .map(({ name, cidrs, deleting }) => ({
      kind: 'ServiceCIDR',
      apiVersion: 'networking.k8s.io/v1',
      metadata: { ...identity({ kind: 'ServiceCIDR', name }), ...deleting },
      spec: { cidrs },
      status: { conditions: [{ type: 'Ready', status: 'deletionTimestamp' in deleting ? 'False' : 'True' }] },
    }))

interface Identity {
  readonly kind: ObjectKind
  readonly namespace?: string
  readonly name: string
}

function identity({ kind, namespace, name }: Identity): {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
} {
  const uid = `${kind}-${namespace ?? ''}-${name}`.toLowerCase()
  return { ...(namespace === undefined ? {} : { namespace }), name, uid, resourceVersion: '1' }
}

/** Objects of a kind that an API server would serve. */
export const validArbitrary = (kind: ObjectKind): fc.Arbitrary<KubernetesObject> =>
  ({
    Service: serviceArbitrary,
    EndpointSlice: endpointSliceArbitrary,
    Node: nodeArbitrary,
    ServiceCIDR: serviceCidrArbitrary,
  })[kind]()
