import type { JsonObject, KubernetesObject } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import { addressOf, FAMILIES, type Name } from './names.js'

/** A Service of both families on port 80, with its endpoints on port 8080; what is not said is as the API server defaults it. */
export interface ServiceDescription {
  readonly name?: 'web' | 'other'
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP'
  /** Its type is NodePort with one, LoadBalancer with VIPs, else ClusterIP. */
  readonly nodePort?: number
  readonly externalIPs?: readonly Name[]
  readonly vips?: readonly Name[]
  /** The load balancer has these for itself (ipMode Proxy). */
  readonly proxiedVips?: readonly Name[]
  readonly sourceRanges?: readonly string[]
  readonly externalTrafficPolicy?: 'Cluster' | 'Local'
  readonly internalTrafficPolicy?: 'Cluster' | 'Local'
  readonly affinitySeconds?: number
  /** Default: the same for all. */
  readonly createdAt?: string
  /** Pods answer on 8080 and 9090; on 7070 they say back what they hear, by TCP. */
  readonly targetPort?: 7070 | 8080 | 9090
  readonly endpoints: readonly (Pod | EndpointDescription)[]
}

/** Those that Services with a load balancer and policy Local get. */
export const HEALTH_CHECK_NODE_PORT = { web: 32000, other: 32001 } as const

export type Pod = 'near-a' | 'near-b' | 'far-c' | 'far-d'

export interface EndpointDescription {
  readonly pod: Pod
  /** Ready where nothing is said. */
  readonly conditions?: JsonObject
  readonly hints?: JsonObject
}

/** The objects that an API server would serve: the node under test, and Services with a slice for each family. */
export const objectsOf = (services: readonly ServiceDescription[]): readonly KubernetesObject[] => [
  {
    ...node({ name: 'node-a', zone: 'zone-a', podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] }),
    status: {
      addresses: (['node', 'node-2'] as const).flatMap((name) =>
        FAMILIES.map((family) => ({ type: 'InternalIP', address: addressOf(name, family) })),
      ),
    },
  },
  ...services.flatMap((description) => [serviceOf(description), ...slicesOf(description)]),
]

function serviceOf(description: ServiceDescription): KubernetesObject {
  const { name = 'web', protocol = 'TCP', nodePort, externalIPs = [], vips = [], proxiedVips = [] } = description
  const { targetPort = 8080, affinitySeconds, sourceRanges, externalTrafficPolicy = 'Cluster' } = description
  const isBalanced = vips.length + proxiedVips.length > 0
  const clusterIPs = FAMILIES.map((family) => addressOf(name, family))
  return service({
    name,
    ...(description.createdAt !== undefined && { createdAt: description.createdAt }),
    spec: {
      type: isBalanced ? 'LoadBalancer' : nodePort === undefined ? 'ClusterIP' : 'NodePort',
      clusterIP: clusterIPs[0] ?? '',
      clusterIPs,
      ipFamilies: FAMILIES,
      ipFamilyPolicy: 'RequireDualStack',
      ports: [{ name: 'p', protocol, port: 80, targetPort, ...(nodePort !== undefined && { nodePort }) }],
      externalIPs: inBothFamilies(externalIPs),
      internalTrafficPolicy: description.internalTrafficPolicy ?? 'Cluster',
      externalTrafficPolicy,
      ...(sourceRanges && { loadBalancerSourceRanges: sourceRanges }),
      ...(isBalanced && externalTrafficPolicy === 'Local' && { healthCheckNodePort: HEALTH_CHECK_NODE_PORT[name] }),
      ...(affinitySeconds !== undefined && {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: affinitySeconds } },
      }),
    },
    status: {
      loadBalancer: {
        ingress: [
          ...inBothFamilies(vips).map((ip) => ({ ip, ipMode: 'VIP' })),
          ...inBothFamilies(proxiedVips).map((ip) => ({ ip, ipMode: 'Proxy' })),
        ],
      },
    },
  })
}

const inBothFamilies = (names: readonly Name[]): readonly string[] =>
  names.flatMap((name) => FAMILIES.map((family) => addressOf(name, family)))

const slicesOf = (description: ServiceDescription): readonly KubernetesObject[] => {
  const { name = 'web', protocol = 'TCP', targetPort = 8080, endpoints } = description
  return FAMILIES.map((family) =>
    slice({
      name: `${name}-${family.toLowerCase()}`,
      service: name,
      addressType: family,
      ports: [{ name: 'p', protocol, port: targetPort }],
      endpoints: endpoints.map((endpoint) => {
        const { pod, conditions = {}, hints } = typeof endpoint === 'string' ? { pod: endpoint } : endpoint
        return {
          addresses: [addressOf(pod, family)],
          conditions: { ready: true, serving: true, terminating: false, ...conditions },
          nodeName: pod.startsWith('near') ? 'node-a' : 'node-b',
          zone: pod.startsWith('near') ? 'zone-a' : 'zone-b',
          targetRef: { kind: 'Pod', name: pod, namespace: 'shop' },
          ...(hints && { hints }),
        }
      }),
    }),
  )
}
