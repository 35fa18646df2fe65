import { describe, expect, it } from 'vitest'
import type { PortDescription } from '../testing/state-builder.js'
import { fate, type Scenario } from './test-support/scenario.js'

const POD = '10.244.1.9'
const OWN_VIP = { addresses: ['192.168.55.10', '203.0.113.20', '198.51.100.20', 'fd00:55::10'] }
const edge: PortDescription = {
  is: 'shop/edge:http',
  clusterIP: '10.96.0.20',
  externalIPs: ['203.0.113.20'],
  loadBalancerVIPs: ['198.51.100.20'],
  nodePort: 30080,
  endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b'],
}
const local: PortDescription = { ...edge, externalTrafficPolicy: 'Local' }
const localRemote: PortDescription = { ...local, endpoints: ['10.244.2.6:8080@node-b'] }
const empty: PortDescription = { ...edge, endpoints: [] }
const edgeV6: PortDescription = {
  is: 'shop/edge:http',
  clusterIP: 'fd00:10:96::20',
  externalIPs: ['2001:db8::20'],
  externalTrafficPolicy: 'Local',
  endpoints: ['[fd00:10:244:1::5]:8080@node-a', '[fd00:10:244:2::6]:8080@node-b'],
}

const BOTH = '10.244.1.5:8080 1/2, 10.244.2.6:8080 1/2'
const BOTH_MASQUERADED = '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2 masqueraded'
const REJECTED = 'rejected: shop/edge:http has no endpoints'
const DROPPED = 'dropped: shop/edge:http has no endpoints on this node (externalTrafficPolicy Local)'
const leaves = (address: string) =>
  `no-service: shop/edge:http has no endpoints, and the node's own packet to ${address} goes out unchanged`

type Row = readonly [what: string, scenario: Scenario, from: string, expected: string]

/** The same for each external front: the external IP, the VIP, the node port. */
const ALIKE: readonly Row[] = [
  ['policy Cluster: outside is masqueraded', { ports: [edge] }, 'outside', BOTH_MASQUERADED],
  ['policy Cluster: a pod is masqueraded', { ports: [edge] }, POD, BOTH_MASQUERADED],
  ['policy Cluster: the node is masqueraded', { ports: [edge] }, 'node', BOTH_MASQUERADED],
  [
    'policy Cluster: without local detection too',
    { ports: [edge], config: { detectLocal: { mode: 'None' } } },
    POD,
    BOTH_MASQUERADED,
  ],
  ['policy Local: outside keeps its address and stays on the node', { ports: [local] }, 'outside', '10.244.1.5:8080'],
  ['policy Local: a pod goes anywhere', { ports: [local] }, POD, BOTH],
  [
    'policy Local: a pod that is its own endpoint',
    { ports: [local] },
    '10.244.1.5',
    '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2',
  ],
  ['policy Local: the node goes anywhere, masqueraded', { ports: [local] }, 'node', BOTH_MASQUERADED],
  [
    'policy Local: a pod is like outside without local detection',
    { ports: [local], config: { detectLocal: { mode: 'None' } } },
    POD,
    '10.244.1.5:8080',
  ],
  [
    'policy Local: masqueradeAll is for cluster IPs',
    { ports: [local], config: { masqueradeAll: true } },
    'outside',
    '10.244.1.5:8080',
  ],
  ['policy Local, none on this node: outside is dropped', { ports: [localRemote] }, 'outside', DROPPED],
  ['policy Local, none on this node: a pod goes elsewhere', { ports: [localRemote] }, POD, '10.244.2.6:8080'],
  [
    'policy Local, none on this node: the node goes elsewhere',
    { ports: [localRemote] },
    'node',
    '10.244.2.6:8080 masqueraded',
  ],
  ['no endpoints: outside is rejected', { ports: [empty] }, 'outside', REJECTED],
  ['no endpoints: a pod is rejected', { ports: [empty] }, POD, REJECTED],
  [
    'no endpoints with policy Local: rejected',
    { ports: [{ ...empty, externalTrafficPolicy: 'Local' }] },
    'outside',
    REJECTED,
  ],
  [
    'policy Local falls back to an endpoint of this node that terminates',
    {
      ports: [
        {
          ...local,
          endpoints: [{ at: '10.244.1.5:8080@node-a', ready: false, terminating: true }, '10.244.2.6:8080@node-b'],
        },
      ],
    },
    'outside',
    '10.244.1.5:8080',
  ],
  [
    'internalTrafficPolicy has no say in it',
    { ports: [{ ...edge, internalTrafficPolicy: 'Local' }] },
    'outside',
    BOTH_MASQUERADED,
  ],
]

describe.each([
  ['an external IP', '203.0.113.20:80'],
  ['a load-balancer VIP', '198.51.100.20:80'],
  ['a node port', '192.168.55.10:30080'],
])('a packet to %s', (_, to) => {
  it.each(ALIKE)('%s', (_, scenario, from, expected) => {
    expect(fate(scenario, `tcp ${from} -> ${to}`)).toBe(expected)
  })
})

describe("the node's own packet to a Service without endpoints", () => {
  it.each([
    ['to an external IP leaves the node', '203.0.113.20:80', {}, leaves('203.0.113.20')],
    ['to a VIP leaves the node', '198.51.100.20:80', {}, leaves('198.51.100.20')],
    ['to an external IP that the node bears is rejected', '203.0.113.20:80', OWN_VIP, REJECTED],
    ['to a VIP that the node bears is rejected', '198.51.100.20:80', OWN_VIP, REJECTED],
    ['to a node port is rejected', '192.168.55.10:30080', {}, REJECTED],
    ['to a node port on loopback is rejected', '127.0.0.1:30080', {}, REJECTED],
  ])('%s', (_, to, node, expected) => {
    expect(fate({ ports: [empty], node }, `tcp node -> ${to}`)).toBe(expected)
  })
})

describe('a node port at an address of a load balancer', () => {
  it.each([
    ['198.51.100.20', '198.51.100.20:30080'],
    ['203.0.113.20', '203.0.113.20:30080'],
  ])('%s depends on whether the node has it', (address, to) => {
    const depends = `no-service: it depends on whether the node has ${address}, an external address of shop/edge: only then node port 30080 of shop/edge:http answers there, and the Node does not list it`
    expect(fate({ ports: [edge] }, `tcp outside -> ${to}`)).toBe(depends)
    expect(fate({ ports: [edge], node: OWN_VIP }, `tcp outside -> ${to}`)).toBe(BOTH_MASQUERADED)
    expect(fate({ ports: [edge] }, `udp outside -> ${to}`)).toBe(
      `no-service: shop/edge at ${address} has no port 30080 of UDP`,
    )
  })
})

describe('external fronts', () => {
  it.each<readonly [string, Scenario, string, string]>([
    [
      'of a load balancer that answers itself (ipMode Proxy) have no rule',
      { ports: [{ ...edge, loadBalancerVIPs: [], loadBalancerProxyIPs: ['198.51.100.20'] }] },
      'tcp node -> 198.51.100.20:80',
      'no-service: the load balancer of shop/edge handles 198.51.100.20 itself (ipMode Proxy)',
    ],
    [
      'of IPv6: outside stays on the node',
      { ports: [edgeV6] },
      'tcp outside -> [2001:db8::20]:80',
      '[fd00:10:244:1::5]:8080',
    ],
    [
      'of IPv6: a pod goes anywhere',
      { ports: [edgeV6] },
      'tcp fd00:10:244:1::9 -> [2001:db8::20]:80',
      '[fd00:10:244:1::5]:8080 1/2, [fd00:10:244:2::6]:8080 1/2',
    ],
    [
      'of IPv6: the node goes anywhere, masqueraded',
      { ports: [edgeV6] },
      'tcp node -> [2001:db8::20]:80',
      '[fd00:10:244:1::5]:8080 1/2 masqueraded, [fd00:10:244:2::6]:8080 1/2 masqueraded',
    ],
    [
      'of IPv6: another host is like outside',
      { ports: [edgeV6] },
      'tcp 2001:db8::99 -> [2001:db8::20]:80',
      '[fd00:10:244:1::5]:8080',
    ],
    [
      'in a pod CIDR make the node a local pod',
      { ports: [local], config: { detectLocal: { mode: 'ClusterCIDR', cidrs: ['192.168.0.0/16'] } } },
      'tcp node -> 203.0.113.20:80',
      BOTH,
    ],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})

describe('fronts that two Services claim', () => {
  const older: PortDescription = {
    ...edge,
    is: 'shop/older',
    createdAt: '2025-01-01T00:00:00Z',
    clusterIP: '10.96.0.21',
    nodePort: 0,
    loadBalancerVIPs: [],
    endpoints: ['10.244.1.1:1@node-a'],
  }
  const younger: PortDescription = {
    ...older,
    is: 'shop/a-younger',
    createdAt: '2025-06-01T00:00:00Z',
    clusterIP: '10.96.0.22',
    endpoints: ['10.244.1.2:2@node-a'],
  }
  const vip: PortDescription = {
    ...older,
    externalIPs: [],
    loadBalancerVIPs: ['203.0.113.20'],
    loadBalancerSourceRanges: ['192.0.2.0/24'],
  }

  it.each<readonly [string, Scenario, string, string]>([
    ['go to the older', { ports: [younger, older] }, 'tcp outside -> 203.0.113.20:80', '10.244.1.1:1 masqueraded'],
    [
      'go to the first by name where they are of one age',
      { ports: [older, { ...younger, createdAt: older.createdAt ?? '' }] },
      'tcp outside -> 203.0.113.20:80',
      '10.244.1.2:2 masqueraded',
    ],
    [
      'go to the younger where the older has no endpoints',
      { ports: [{ ...older, endpoints: [] }, younger] },
      'tcp outside -> 203.0.113.20:80',
      '10.244.1.2:2 masqueraded',
    ],
    [
      'go to the younger where the source ranges of the older refuse',
      { ports: [vip, younger] },
      'tcp outside -> 203.0.113.20:80',
      '10.244.1.2:2 masqueraded',
    ],
    [
      'are dropped by source ranges where nobody takes them',
      {
        ports: [
          { ...older, endpoints: [] },
          { ...vip, is: 'shop/ranged', createdAt: '2025-06-01T00:00:00Z' },
        ],
      },
      'tcp outside -> 203.0.113.20:80',
      'dropped: outside is not in the source ranges of shop/ranged',
    ],
    [
      'an address of its own comes before a node port',
      {
        ports: [
          { ...younger, externalIPs: ['192.168.55.10'] },
          { ...older, externalIPs: [], nodePort: 80 },
        ],
      },
      'tcp outside -> 192.168.55.10:80',
      '10.244.1.2:2 masqueraded',
    ],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})
