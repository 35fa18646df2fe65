import { describe, expect, it } from 'vitest'
import type { PortDescription } from '../testing/state-builder.js'
import { fate, type Scenario } from './test-support/scenario.js'

const POD = '10.244.1.9'
const cart: PortDescription = {
  is: 'shop/cart:http',
  clusterIP: '10.96.0.10',
  endpoints: ['10.244.2.6:8080@node-b', '10.244.1.5:8080@node-a'],
}
const cartV6: PortDescription = {
  is: 'shop/cart:http',
  clusterIP: 'fd00:10:96::10',
  endpoints: ['[fd00:10:244:1::5]:8080@node-a', '[fd00:10:244:2::6]:8080@node-b'],
}
const local = (port: PortDescription): PortDescription => ({ ...port, internalTrafficPolicy: 'Local' })
const remote: PortDescription = { ...cart, endpoints: ['10.244.2.6:8080@node-b'] }
const none = { mode: 'None' } as const
const terminating = { ready: false, terminating: true }

const BOTH = '10.244.1.5:8080 1/2, 10.244.2.6:8080 1/2'
const BOTH_MASQUERADED = '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2 masqueraded'

const ROWS: readonly (readonly [what: string, scenario: Scenario, packet: string, expected: string])[] = [
  ['a pod reaches each endpoint with equal odds', { ports: [cart] }, `tcp ${POD} -> 10.96.0.10:80`, BOTH],
  ['a pod of another node is in the cluster CIDR as well', { ports: [cart] }, 'tcp 10.244.2.9 -> 10.96.0.10:80', BOTH],
  ['the node is masqueraded: it is no pod', { ports: [cart] }, 'tcp node -> 10.96.0.10:80', BOTH_MASQUERADED],
  ['the node by its address is the node', { ports: [cart] }, 'tcp 192.168.55.10 -> 10.96.0.10:80', BOTH_MASQUERADED],
  ['others who route here are masqueraded', { ports: [cart] }, 'tcp 172.16.0.1 -> 10.96.0.10:80', BOTH_MASQUERADED],
  ['outside is masqueraded', { ports: [cart] }, 'tcp outside -> 10.96.0.10:80', BOTH_MASQUERADED],
  [
    'a pod that is its own endpoint is masqueraded on the way back to itself',
    { ports: [cart] },
    'tcp 10.244.1.5 -> 10.96.0.10:80',
    '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2',
  ],
  [
    'an endpoint on the host network is a hairpin for the node',
    { ports: [{ ...cart, endpoints: ['192.168.55.10:8080@node-a'] }], config: { detectLocal: none } },
    'tcp node -> 10.96.0.10:80',
    '192.168.55.10:8080 masqueraded',
  ],
  [
    'masqueradeAll masquerades pods',
    { ports: [cart], config: { masqueradeAll: true } },
    `tcp ${POD} -> 10.96.0.10:80`,
    BOTH_MASQUERADED,
  ],
  [
    'without local detection nobody is masqueraded',
    { ports: [cart], config: { detectLocal: none } },
    'tcp outside -> 10.96.0.10:80',
    BOTH,
  ],
  [
    'session affinity does not change the first packet',
    { ports: [{ ...cart, affinitySeconds: 180 }] },
    `tcp ${POD} -> 10.96.0.10:80`,
    BOTH,
  ],
  [
    'no endpoints: a pod is rejected',
    { ports: [{ ...cart, endpoints: [] }] },
    `tcp ${POD} -> 10.96.0.10:80`,
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'no endpoints: the node is rejected',
    { ports: [{ ...cart, endpoints: [] }] },
    'tcp node -> 10.96.0.10:80',
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'no endpoints: outside is rejected',
    { ports: [{ ...cart, endpoints: [] }] },
    'tcp outside -> 10.96.0.10:80',
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'endpoints that are not ready are none',
    { ports: [{ ...cart, endpoints: [{ at: '10.244.1.5:8080@node-a', ready: false }] }] },
    `tcp ${POD} -> 10.96.0.10:80`,
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'terminating endpoints that serve are used when nothing is ready',
    { ports: [{ ...cart, endpoints: [{ at: '10.244.1.5:8080@node-a', ...terminating }] }] },
    `tcp ${POD} -> 10.96.0.10:80`,
    '10.244.1.5:8080',
  ],
  [
    'policy Local: endpoints of this node alone',
    { ports: [local(cart)] },
    `tcp ${POD} -> 10.96.0.10:80`,
    '10.244.1.5:8080',
  ],
  [
    'policy Local: the node too, masqueraded',
    { ports: [local(cart)] },
    'tcp node -> 10.96.0.10:80',
    '10.244.1.5:8080 masqueraded',
  ],
  [
    'policy Local, none on this node: dropped',
    { ports: [local(remote)] },
    `tcp ${POD} -> 10.96.0.10:80`,
    'dropped: shop/cart:http has no endpoints on this node (internalTrafficPolicy Local)',
  ],
  [
    'policy Local, none on this node: the node dropped',
    { ports: [local(remote)] },
    'tcp node -> 10.96.0.10:80',
    'dropped: shop/cart:http has no endpoints on this node (internalTrafficPolicy Local)',
  ],
  [
    'policy Local, none at all: rejected',
    { ports: [local({ ...cart, endpoints: [] })] },
    `tcp ${POD} -> 10.96.0.10:80`,
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'policy Local with the node unknown: nothing is local',
    { ports: [local(cart)], node: 'unknown' },
    `tcp ${POD} -> 10.96.0.10:80`,
    'dropped: shop/cart:http has no endpoints on this node (internalTrafficPolicy Local)',
  ],
  [
    'externalTrafficPolicy has no say in it',
    { ports: [{ ...remote, nodePort: 30080, externalTrafficPolicy: 'Local' }] },
    `tcp ${POD} -> 10.96.0.10:80`,
    '10.244.2.6:8080',
  ],
  [
    'another port is no Service',
    { ports: [cart] },
    `tcp ${POD} -> 10.96.0.10:81`,
    'no-service: shop/cart at 10.96.0.10 has no port 81 of TCP',
  ],
  [
    'another protocol is no Service',
    { ports: [cart] },
    `udp ${POD} -> 10.96.0.10:80`,
    'no-service: shop/cart at 10.96.0.10 has no port 80 of UDP',
  ],
  [
    'UDP and TCP of one port are two',
    { ports: [cart, { ...cart, protocol: 'UDP', endpoints: ['10.244.1.7:53@node-a'] }] },
    `udp ${POD} -> 10.96.0.10:80`,
    '10.244.1.7:53',
  ],
  ['SCTP', { ports: [{ ...cart, protocol: 'SCTP' }] }, `sctp ${POD} -> 10.96.0.10:80`, BOTH],
  [
    'another address is no Service',
    { ports: [cart] },
    `tcp ${POD} -> 10.96.0.11:80`,
    'no-service: no Service has 10.96.0.11',
  ],
  [
    'IPv6: a pod',
    { ports: [cart, cartV6] },
    'tcp fd00:10:244:1::9 -> [fd00:10:96::10]:80',
    '[fd00:10:244:1::5]:8080 1/2, [fd00:10:244:2::6]:8080 1/2',
  ],
  [
    'IPv6: in whatever spelling',
    { ports: [cartV6] },
    'tcp FD00:10:244:1:0:0:0:9 -> [fd00:0010:96::0:10]:80',
    '[fd00:10:244:1::5]:8080 1/2, [fd00:10:244:2::6]:8080 1/2',
  ],
  [
    'IPv6: the node',
    { ports: [cartV6] },
    'tcp node -> [fd00:10:96::10]:80',
    '[fd00:10:244:1::5]:8080 1/2 masqueraded, [fd00:10:244:2::6]:8080 1/2 masqueraded',
  ],
  [
    'IPv6: policy Local',
    { ports: [local(cartV6)] },
    'tcp fd00:10:244:1::9 -> [fd00:10:96::10]:80',
    '[fd00:10:244:1::5]:8080',
  ],
  [
    'IPv6: no endpoints',
    { ports: [{ ...cartV6, endpoints: [] }] },
    'tcp fd00:10:244:1::9 -> [fd00:10:96::10]:80',
    'rejected: shop/cart:http has no endpoints',
  ],
  [
    'a family that the configuration lacks',
    { ports: [cart, cartV6], config: { families: ['IPv4'] } },
    'tcp node -> [fd00:10:96::10]:80',
    'no-service: the configuration has no IPv6',
  ],
]

describe('a packet to a cluster IP', () => {
  it.each(ROWS)('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})

describe('a cluster IP without endpoints that the node itself bears', () => {
  const scenario: Scenario = {
    ports: [{ ...cart, endpoints: [] }],
    node: { addresses: ['192.168.55.10', '10.96.0.10'] },
  }

  it('rejects what the node sends', () => {
    expect(fate(scenario, 'tcp node -> 10.96.0.10:80')).toBe('rejected: shop/cart:http has no endpoints')
  })

  it('has no say in what comes in for the node: only what is forwarded or sent is asked', () => {
    expect(fate(scenario, `tcp ${POD} -> 10.96.0.10:80`)).toMatch(/^no-service/)
  })
})
