import { describe, expect, it } from 'vitest'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { PortDescription } from '../testing/state-builder.js'
import { fate, type Scenario } from './test-support/scenario.js'

const np: PortDescription = {
  is: 'shop/np',
  clusterIP: '10.96.0.20',
  nodePort: 30080,
  endpoints: ['10.244.1.5:8080@node-a'],
}
const npV6: PortDescription = { ...np, clusterIP: 'fd00:10:96::20', endpoints: ['[fd00:10:244:1::5]:8080@node-a'] }
const node = { addresses: ['192.168.55.10', '10.0.0.10', 'fd00:55::10', '2001:db8::10'] }

const V4 = '10.244.1.5:8080 masqueraded'
const V6 = '[fd00:10:244:1::5]:8080 masqueraded'
const closed = (address: string) => `no-service: node port 30080 of shop/np does not answer on ${address}`
const stray = (address: string, source: string) =>
  `dropped: ${address} is a loopback address, which accepts nothing from ${source}`

type NodePortAddresses = ProxyConfig['nodePortAddresses']

describe('a node port', () => {
  it.each<readonly [NodePortAddresses, string, string]>([
    ['all', 'outside -> 192.168.55.10', V4],
    ['all', 'outside -> 10.0.0.10', V4],
    ['all', 'node -> 192.168.55.10', V4],
    ['all', 'node -> 127.0.0.1', V4],
    ['all', 'node -> 127.3.2.1', V4],
    ['all', 'outside -> [fd00:55::10]', V6],
    ['all', 'outside -> [2001:db8::10]', V6],
    ['all', 'node -> [::1]', closed('::1')],
    ['all', 'outside -> 192.168.55.11', 'no-service: no Service has 192.168.55.11'],
    ['primary', 'outside -> 192.168.55.10', V4],
    ['primary', 'outside -> 10.0.0.10', closed('10.0.0.10')],
    ['primary', 'node -> 127.0.0.1', closed('127.0.0.1')],
    ['primary', 'outside -> [fd00:55::10]', V6],
    ['primary', 'outside -> [2001:db8::10]', closed('2001:db8::10')],
    [['192.168.55.0/24'], 'outside -> 192.168.55.10', V4],
    [['192.168.55.0/24'], 'outside -> 10.0.0.10', closed('10.0.0.10')],
    [['192.168.55.0/24'], 'node -> 127.0.0.1', closed('127.0.0.1')],
    // CIDRs of one family leave the other open.
    [['192.168.55.0/24'], 'outside -> [2001:db8::10]', V6],
    [['fd00:55::/64'], 'outside -> 10.0.0.10', V4],
    [['fd00:55::/64'], 'outside -> [2001:db8::10]', closed('2001:db8::10')],
    [['192.168.55.0/24', '0.0.0.0/0'], 'outside -> 10.0.0.10', V4],
    [['0.0.0.0/0'], 'node -> 127.3.2.1', V4],
    [['127.0.0.0/8'], 'node -> 127.0.0.1', V4],
    // With CIDRs, the addresses that interfaces bear count, and lo bears one.
    [['127.0.0.0/8'], 'node -> 127.3.2.1', closed('127.3.2.1')],
    [['127.0.0.0/8'], 'outside -> 192.168.55.10', closed('192.168.55.10')],
    [['::1/128'], 'node -> [::1]', closed('::1')],
    [['172.16.0.0/12'], 'outside -> 192.168.55.10', closed('192.168.55.10')],
  ])('with nodePortAddresses %j: %s', (nodePortAddresses, way, expected) => {
    expect(fate({ ports: [np, npV6], node, config: { nodePortAddresses } }, `tcp ${way}:30080`)).toBe(expected)
  })

  it('answers with `primary` on the configured node IP, in place of the first of its family', () => {
    const config = { nodePortAddresses: 'primary', nodeIp: '10.0.0.10' } as const
    const to = (address: string) => fate({ ports: [np, npV6], node, config }, `tcp outside -> ${address}:30080`)
    expect([to('10.0.0.10'), to('192.168.55.10'), to('[fd00:55::10]')]).toEqual([V4, closed('192.168.55.10'), V6])
  })

  it.each<readonly [string, Scenario, string, string]>([
    [
      'answers on loopback with policy Local: the node goes anywhere',
      { ports: [{ ...np, externalTrafficPolicy: 'Local', endpoints: ['10.244.2.6:8080@node-b'] }] },
      'tcp node -> 127.0.0.1:30080',
      '10.244.2.6:8080 masqueraded',
    ],
    [
      'does not answer on loopback without localhostNodePorts',
      { ports: [np], config: { localhostNodePorts: false } },
      'tcp node -> 127.0.0.1:30080',
      closed('127.0.0.1'),
    ],
    [
      'does not answer on a CIDR of loopback without localhostNodePorts',
      { ports: [np], config: { localhostNodePorts: false, nodePortAddresses: ['127.0.0.0/8'] } },
      'tcp node -> 127.0.0.1:30080',
      closed('127.0.0.1'),
    ],
    [
      'answers elsewhere without localhostNodePorts',
      { ports: [np], config: { localhostNodePorts: false } },
      'tcp outside -> 192.168.55.10:30080',
      V4,
    ],
    [
      'answers on every address of the node where its node IP is not known',
      { ports: [np], node: { addresses: [] }, config: { nodePortAddresses: 'primary' } },
      'tcp node -> 127.0.0.1:30080',
      V4,
    ],
    [
      'answers nowhere but on loopback where the node is not known',
      { ports: [np], node: 'unknown' },
      'tcp outside -> 192.168.55.10:30080',
      'no-service: no Service has 192.168.55.10',
    ],
    [
      'of another protocol is none',
      { ports: [np] },
      'udp outside -> 192.168.55.10:30080',
      'no-service: no Service has 192.168.55.10',
    ],
    [
      'is no port of the cluster IP',
      { ports: [np] },
      'tcp outside -> 10.96.0.20:30080',
      'no-service: shop/np at 10.96.0.20 has no port 30080 of TCP',
    ],
    [
      'without endpoints rejects on addresses that are not allowed as well',
      { ports: [{ ...np, endpoints: [] }], config: { nodePortAddresses: ['10.0.0.0/8'] } },
      'tcp outside -> 192.168.55.10:30080',
      'rejected: shop/np has no endpoints',
    ],
    [
      'without endpoints rejects on IPv6 loopback as well',
      { ports: [{ ...npV6, endpoints: [] }] },
      'tcp node -> [::1]:30080',
      'rejected: shop/np has no endpoints',
    ],
    [
      'with policy Local and none here drops the node where the address is not allowed',
      {
        ports: [{ ...np, externalTrafficPolicy: 'Local', endpoints: ['10.244.2.6:8080@node-b'] }],
        config: { localhostNodePorts: false },
      },
      'tcp node -> 127.0.0.1:30080',
      'dropped: shop/np has no endpoints on this node (externalTrafficPolicy Local)',
    ],
    [
      'on loopback is open to neighbours: what localhostNodePorts cannot tell apart',
      { ports: [np] },
      'tcp outside -> 127.0.0.1:30080',
      V4,
    ],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})

describe('loopback', () => {
  it.each<readonly [string, Scenario, string, string]>([
    ['takes nothing from outside', { ports: [] }, 'tcp outside -> 127.0.0.1:22', stray('127.0.0.1', 'outside')],
    [
      'takes nothing from outside where localhostNodePorts is off',
      { ports: [np], config: { localhostNodePorts: false } },
      'tcp outside -> 127.0.0.1:30080',
      stray('127.0.0.1', 'outside'),
    ],
    [
      'takes nothing from a pod in IPv6',
      { ports: [npV6] },
      'tcp fd00:10:244:1::9 -> [::1]:30080',
      stray('::1', 'fd00:10:244:1::9'),
    ],
    [
      'takes nothing from another address of the node',
      { ports: [] },
      'tcp 192.168.55.10 -> 127.0.0.1:22',
      stray('127.0.0.1', '192.168.55.10'),
    ],
    [
      'takes what the node sends to it',
      { ports: [] },
      'tcp node -> 127.0.0.1:22',
      'no-service: no Service has 127.0.0.1',
    ],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})

describe('what the node sends to its own loopback from another address of it', () => {
  it.each<readonly [string, Scenario, string]>([
    ['passes in IPv6, which nothing guards', { ports: [] }, 'tcp fd00:55::10 -> [::1]:22'],
    [
      'passes where nodePortAddresses leave loopback out',
      { ports: [], config: { nodePortAddresses: ['192.168.55.0/24'] } },
      'tcp 192.168.55.10 -> 127.0.0.1:22',
    ],
    [
      'passes without localhostNodePorts',
      { ports: [], config: { localhostNodePorts: false } },
      'tcp 192.168.55.10 -> 127.0.0.1:22',
    ],
  ])('%s', (_, scenario, packet) => {
    expect(fate(scenario, packet)).toMatch(/^no-service: no Service has /)
  })
})

describe('a health-check node port', () => {
  const checked: PortDescription = {
    ...np,
    externalTrafficPolicy: 'Local',
    loadBalancerVIPs: ['198.51.100.20'],
    healthCheckNodePort: 31999,
  }
  const answer = 'no-service: 31999 is the health-check node port of shop/np, which the proxy itself answers'

  it.each<readonly [string, Scenario, string, string]>([
    ['is answered by the proxy', { ports: [checked] }, 'tcp outside -> 192.168.55.10:31999', answer],
    [
      'is answered without endpoints too',
      { ports: [{ ...checked, endpoints: [] }] },
      'tcp node -> 192.168.55.10:31999',
      answer,
    ],
    [
      'is let in before a node port of the number without endpoints rejects',
      { ports: [{ ...checked, endpoints: [], nodePort: 31999 }] },
      'tcp outside -> 192.168.55.10:31999',
      answer,
    ],
    [
      'is a port of TCP',
      { ports: [checked] },
      'udp outside -> 192.168.55.10:31999',
      'no-service: no Service has 192.168.55.10',
    ],
    [
      "is on the node's own addresses",
      { ports: [checked] },
      'tcp outside -> 198.51.100.20:31999',
      'no-service: shop/np at 198.51.100.20 has no port 31999 of TCP',
    ],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})
