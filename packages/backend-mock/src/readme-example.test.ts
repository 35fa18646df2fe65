import { buildState, DEFAULT_PROXY_CONFIG, seq, type KubernetesObject } from '@pointsman/core'
import { createMockBackend } from './index.js'
import { expect, it } from 'vitest'

// Your manifests, parsed, as a cluster would serve them: `kubectl get svc,endpointslices,nodes -A -o json`.
const objects: KubernetesObject[] = [
  {
    kind: 'Service',
    metadata: { namespace: 'shop', name: 'checkout' },
    spec: {
      type: 'NodePort',
      clusterIP: '10.96.0.30',
      externalTrafficPolicy: 'Local',
      ports: [{ name: 'http', port: 80, nodePort: 30080 }],
    },
  },
  {
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name: 'checkout-x', labels: { 'kubernetes.io/service-name': 'checkout' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [{ addresses: ['10.244.2.7'], nodeName: 'node-b', targetRef: { kind: 'Pod', name: 'checkout-0' } }],
  },
  {
    kind: 'Node',
    metadata: { name: 'node-a' },
    status: { addresses: [{ type: 'InternalIP', address: '192.168.55.10' }] },
  },
]

it('pods reach checkout, and customers do not: it has no endpoint on this node', async () => {
  const backend = createMockBackend({
    config: { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } },
  })
  const { state } = buildState({ objects, nodeName: 'node-a' })
  await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, new AbortController().signal)

  const fromPod = backend.route({ from: '10.244.1.9', to: '10.96.0.30', port: 80, protocol: 'tcp' })
  expect(fromPod.endpoints).toEqual([
    { address: '10.244.2.7', port: 8080, odds: 1, masqueraded: false, pod: 'checkout-0' },
  ])

  const fromCustomer = backend.route({ from: 'outside', to: '192.168.55.10', port: 30080, protocol: 'tcp' })
  expect(fromCustomer.verdict).toBe('dropped')
  expect(fromCustomer.reason).toBe('shop/checkout:http has no endpoints on this node (externalTrafficPolicy Local)')
})
