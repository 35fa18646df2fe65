import type { KubernetesObject } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'

export const HEALTH_CHECK_NODE_PORT = 30999
export const NODE_PORT = 30080

/** Two Nodes, and a Service of each kind that an agent's settings are about. */
export const SMALL_WORLD: readonly KubernetesObject[] = [
  node({ name: 'node-a' }),
  node({ name: 'node-b', addresses: ['192.168.55.11'], podCIDRs: ['10.244.2.0/24'] }),
  service({ name: 'web', spec: { clusterIP: '10.96.0.20' } }),
  slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5', '10.244.2.5'] }),
  balanced(),
  balancedSlice({ 'node-a': ['10.244.1.6'], 'node-b': ['10.244.2.6', '10.244.2.7'] }),
]

/** A Service that load balancers ask each node about. */
function balanced(): KubernetesObject {
  return service({
    name: 'balanced',
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.30',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: HEALTH_CHECK_NODE_PORT,
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: NODE_PORT }],
    },
  })
}

/** Its endpoints, by the node that they are on. */
export function balancedSlice(addresses: Readonly<Record<string, readonly string[]>>): KubernetesObject {
  const endpoints = Object.entries(addresses).flatMap(([nodeName, list]) =>
    list.map((address) => ({ addresses: [address], conditions: { ready: true }, nodeName })),
  )
  return slice({ name: 'balanced-1', service: 'balanced', endpoints })
}

/** The slice of `web` with one more endpoint: a change that can be told in the rules by its address. */
export const webSliceWith = (address: string): KubernetesObject =>
  slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5', '10.244.2.5', address] })
