import { describe, expect, it } from 'vitest'
import type { PortDescription } from '../testing/state-builder.js'
import { fate, type Scenario } from './test-support/scenario.js'

const VIP = '198.51.100.20:80'
const lb: PortDescription = {
  is: 'shop/frontend:http',
  clusterIP: '10.96.0.20',
  externalIPs: ['203.0.113.9'],
  loadBalancerVIPs: ['198.51.100.20', '198.51.100.21'],
  loadBalancerSourceRanges: ['203.0.113.0/25', '192.0.2.0/24'],
  nodePort: 30080,
  endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b'],
}
const letsNodeIn: PortDescription = { ...lb, loadBalancerSourceRanges: ['192.168.55.0/24'] }
const anywhere: PortDescription = { ...lb, loadBalancerSourceRanges: [] }
const bearsVip = { addresses: ['192.168.55.10', '198.51.100.20'] }
const lbV6: PortDescription = {
  is: 'shop/frontend:http',
  clusterIP: 'fd00:10:96::20',
  loadBalancerVIPs: ['2001:db8::20'],
  loadBalancerSourceRanges: ['2001:db8:1::/48'],
  endpoints: ['[fd00:10:244:1::5]:8080@node-a'],
}

const BOTH = '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2 masqueraded'
const refused = (source: string) => `dropped: ${source} is not in the source ranges of shop/frontend:http`

describe('source ranges of a load balancer', () => {
  it.each<readonly [string, Scenario, string, string]>([
    ['let in who is in the first', { ports: [lb] }, `tcp 203.0.113.7 -> ${VIP}`, BOTH],
    ['let in who is in the second', { ports: [lb] }, `tcp 192.0.2.7 -> ${VIP}`, BOTH],
    ['drop who is in none', { ports: [lb] }, `tcp 203.0.113.128 -> ${VIP}`, refused('203.0.113.128')],
    ['drop outside', { ports: [lb] }, `tcp outside -> ${VIP}`, refused('outside')],
    ['drop a pod', { ports: [lb] }, `tcp 10.244.1.9 -> ${VIP}`, refused('10.244.1.9')],
    ['drop the node', { ports: [lb] }, `tcp node -> ${VIP}`, refused('the node (192.168.55.10)')],
    ['let everyone in where there are none', { ports: [anywhere] }, `tcp outside -> ${VIP}`, BOTH],
    ['let the node in by its node IP', { ports: [letsNodeIn] }, `tcp node -> ${VIP}`, BOTH],
    [
      'let a node in that bears the VIP and sends from it',
      { ports: [letsNodeIn], node: bearsVip },
      `tcp node -> ${VIP}`,
      BOTH,
    ],
    [
      'let the VIP in for the other VIP as well',
      { ports: [letsNodeIn], node: bearsVip },
      'tcp 198.51.100.20 -> 198.51.100.21:80',
      BOTH,
    ],
    [
      'drop a node that bears the VIP where they leave the node out',
      { ports: [lb], node: bearsVip },
      `tcp node -> ${VIP}`,
      refused('the node (198.51.100.20)'),
    ],
    [
      'drop the node where its address is not known',
      { ports: [letsNodeIn], node: 'unknown' },
      `tcp node -> ${VIP}`,
      refused('the node'),
    ],
    ['do not cover the node port', { ports: [lb] }, 'tcp outside -> 192.168.55.10:30080', BOTH],
    ['do not cover the external IP', { ports: [lb] }, 'tcp outside -> 203.0.113.9:80', BOTH],
    ['do not cover the cluster IP', { ports: [lb] }, 'tcp 172.16.0.1 -> 10.96.0.20:80', BOTH],
    [
      'do not cover a VIP that is an external IP as well',
      { ports: [{ ...lb, externalIPs: ['198.51.100.20'] }] },
      `tcp outside -> ${VIP}`,
      BOTH,
    ],
    [
      'guard nothing without endpoints: rejected',
      { ports: [{ ...lb, endpoints: [] }] },
      `tcp outside -> ${VIP}`,
      'rejected: shop/frontend:http has no endpoints',
    ],
    [
      'guard nothing without endpoints: the node goes out',
      { ports: [{ ...lb, endpoints: [] }] },
      `tcp node -> ${VIP}`,
      "no-service: shop/frontend:http has no endpoints, and the node's own packet to 198.51.100.20 goes out unchanged",
    ],
    [
      'with policy Local: who is let in stays on the node',
      { ports: [{ ...lb, externalTrafficPolicy: 'Local' }] },
      `tcp 203.0.113.7 -> ${VIP}`,
      '10.244.1.5:8080',
    ],
    [
      'with policy Local: who is not let in is dropped',
      { ports: [{ ...lb, externalTrafficPolicy: 'Local' }] },
      `tcp outside -> ${VIP}`,
      refused('outside'),
    ],
    [
      'with policy Local and none on this node',
      { ports: [{ ...lb, externalTrafficPolicy: 'Local', endpoints: ['10.244.2.6:8080@node-b'] }] },
      `tcp 203.0.113.7 -> ${VIP}`,
      'dropped: shop/frontend:http has no endpoints on this node (externalTrafficPolicy Local)',
    ],
    [
      'of IPv6 let in',
      { ports: [lbV6] },
      'tcp 2001:db8:1::7 -> [2001:db8::20]:80',
      '[fd00:10:244:1::5]:8080 masqueraded',
    ],
    ['of IPv6 drop', { ports: [lbV6] }, 'tcp 2001:db8:2::7 -> [2001:db8::20]:80', refused('2001:db8:2::7')],
    ['of IPv6 drop the node', { ports: [lbV6] }, 'tcp node -> [2001:db8::20]:80', refused('the node (fd00:55::10)')],
  ])('%s', (_, scenario, packet, expected) => {
    expect(fate(scenario, packet)).toBe(expected)
  })
})
