import { expect, test } from 'vitest'
import { servicePortOf } from '../testing/state-builder.js'
import { type PacketTarget, touchesPacket } from './follow-fate.js'

const port = servicePortOf({
  is: 'shop/web:http',
  clusterIP: '10.96.0.1',
  externalIPs: ['203.0.113.1'],
  loadBalancerVIPs: ['203.0.113.2'],
  loadBalancerProxyIPs: ['203.0.113.3'],
  nodePort: 30_080,
  healthCheckNodePort: 32_000,
})

const to = (address: string, number: number, rest: Partial<PacketTarget> = {}): PacketTarget => ({
  destination: address,
  destinationPort: number,
  family: 'IPv4',
  protocol: 'TCP',
  ...rest,
})

test.each([
  ['its cluster IP', to('10.96.0.1', 80), true],
  ['its cluster IP on another port, which is told in the reason', to('10.96.0.1', 81), true],
  ['its external IP', to('203.0.113.1', 80), true],
  ['its load-balancer IP', to('203.0.113.2', 80), true],
  ['an address that is left to the load balancer', to('203.0.113.3', 80), true],
  ['its node port, on whatever address', to('192.168.55.77', 30_080), true],
  ['its health check, on whatever address', to('192.168.55.77', 32_000), true],
  ['its health check over UDP', to('192.168.55.77', 32_000, { protocol: 'UDP' }), false],
  ['its node port of another protocol', to('192.168.55.77', 30_080, { protocol: 'UDP' }), false],
  ['its node port in the other family', to('fd00::1', 30_080, { family: 'IPv6' }), false],
  ['another address', to('10.96.0.2', 80), false],
])('a packet to %s', (_, target, touches) => {
  expect(touchesPacket(port, target)).toBe(touches)
})
