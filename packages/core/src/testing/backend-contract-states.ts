import type { State } from '../state/state.js'
import { nodeInfoWith, stateOf, type PortDescription } from './state-builder.js'

const cart: PortDescription = {
  is: 'shop/cart:http',
  clusterIP: '10.96.0.10',
  endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b'],
}
const cartV6: PortDescription = {
  is: 'shop/cart:http',
  clusterIP: 'fd00:10:96::10',
  endpoints: ['[fd00:10:244:1::5]:8080@node-a'],
}
const dns: PortDescription = {
  is: 'kube-system/kube-dns:dns',
  clusterIP: '10.96.0.53',
  port: 53,
  protocol: 'UDP',
  endpoints: ['10.244.1.2:53@node-a', '10.244.2.3:53@node-b'],
}
const frontend: PortDescription = {
  is: 'shop/frontend',
  clusterIP: '10.96.0.20',
  nodePort: 30080,
  externalIPs: ['203.0.113.20'],
  loadBalancerVIPs: ['198.51.100.20'],
  loadBalancerSourceRanges: ['203.0.113.0/24'],
  externalTrafficPolicy: 'Local',
  affinitySeconds: 180,
  endpoints: ['10.244.1.7:8080@node-a', '10.244.2.8:8080@node-b'],
}
const checkout: PortDescription = { is: 'shop/checkout:http', clusterIP: '10.96.0.30' }

const node = nodeInfoWith()

/** States that a backend is led between. `shopReversed` is `shop` in another order; all others differ. */
export const CONTRACT_STATES = {
  empty: stateOf({ ports: [], node, seq: 1 }),
  shop: stateOf({ ports: [cart, cartV6, dns, frontend, checkout], node, seq: 5 }),
  shopReversed: stateOf({
    ports: [checkout, frontend, dns, cartV6, cart].map((port) => ({
      ...port,
      endpoints: (port.endpoints ?? []).toReversed(),
    })),
    node,
    seq: 6,
  }),
  /** Endpoints came, went and stopped; one service port lost its last, another gained its first. */
  scaled: stateOf({
    ports: [
      { ...cart, endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b', '10.244.3.9:8080@node-c'] },
      { ...cartV6, endpoints: [] },
      dns,
      {
        ...frontend,
        endpoints: [{ at: '10.244.1.7:8080@node-a', ready: false, terminating: true }, '10.244.2.8:8080@node-b'],
      },
      { ...checkout, endpoints: ['10.244.1.31:8080@node-a'] },
    ],
    node,
    seq: 9,
  }),
  /** Services came, went and changed their fronts. */
  rebuilt: stateOf({
    ports: [
      { ...cart, clusterIP: '10.96.0.11' },
      { ...frontend, nodePort: 30081, externalIPs: [], externalTrafficPolicy: 'Cluster', loadBalancerSourceRanges: [] },
      {
        is: 'shop/search',
        clusterIP: '10.96.0.40',
        internalTrafficPolicy: 'Local',
        endpoints: ['10.244.1.41:9200@node-a'],
      },
      { ...checkout, endpoints: ['10.244.2.31:8080@node-b'] },
    ],
    node,
    seq: 14,
  }),
} satisfies { readonly [name: string]: State }
