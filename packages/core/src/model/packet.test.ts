import { expect, test } from 'vitest'
import { type Arrival, arrivalOf, type PacketSender } from './packet.js'
import { DEFAULT_PROXY_CONFIG, type DetectLocal } from './proxy-config.js'

const BRIDGE: DetectLocal = { mode: 'BridgeInterface', bridge: 'cni0' }
const PREFIX: DetectLocal = { mode: 'InterfaceNamePrefix', prefix: 'cali' }

test.each<readonly [PacketSender, DetectLocal, Arrival]>([
  ['pod', BRIDGE, { type: 'pod', interface: 'cni0' }],
  ['pod', PREFIX, { type: 'pod', interface: 'cali0', prefix: 'cali' }],
  ['pod', { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] }, { type: 'unknown' }],
  ['outside', BRIDGE, { type: 'another' }],
  ['outside', PREFIX, { type: 'another' }],
  ['outside', { mode: 'None' }, { type: 'unknown' }],
  ['node', BRIDGE, { type: 'unknown' }],
])('a packet from %s, with pods told by %o', (from, detectLocal, arrival) => {
  expect(arrivalOf({ from }, { ...DEFAULT_PROXY_CONFIG, detectLocal })).toEqual(arrival)
})
