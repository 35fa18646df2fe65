import { buildState, type SeenSource } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import { expect, test } from 'vitest'
import { type AlsoLookAt, alsoLookAtTrace } from './also-look-at.js'
import type { ResolvedPacket } from './resolve-packet.js'

const { state } = buildState({
  objects: [
    node({ name: 'node-a' }),
    service({
      name: 'web',
      spec: {
        clusterIP: '10.96.0.1',
        externalIPs: ['203.0.113.9'],
        ports: [
          { name: 'http', port: 80, nodePort: 30_080 },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      },
    }),
    slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5', '192.168.55.10'] }),
  ],
})

const POD: ResolvedPacket = {
  protocol: 'TCP',
  family: 'IPv4',
  source: '10.244.1.9',
  destination: '10.96.0.1',
  destinationPort: 80,
  from: 'pod',
}
const CLIENT: ResolvedPacket = { ...POD, source: '198.18.0.1', destination: '203.0.113.9', from: 'outside' }

function looks(
  packet: ResolvedPacket,
  endpoints: readonly (readonly [address: string, rewritten?: SeenSource['rewritten']])[],
  known: Partial<Parameters<typeof alsoLookAtTrace>[0]> = {},
): readonly AlsoLookAt[] {
  const trace = { endpoints: endpoints.map(([address, rewritten = 'no']) => ({ address, source: { rewritten } })) }
  return alsoLookAtTrace({ packet, trace, names: state, node: state.node, ...known })
}

const ALL_KNOWN = {}
const NOTHING_KNOWN = { names: undefined, node: undefined }

type Known = Partial<Parameters<typeof alsoLookAtTrace>[0]>
type Reached = Parameters<typeof looks>[1]

test.each<readonly [codes: string, packet: ResolvedPacket, endpoints: Reached, known: Known]>([
  ['HAIRPIN', { ...POD, source: '10.244.1.5' }, [['10.244.1.5', 'MASQUERADE'], ['10.244.2.6']], ALL_KNOWN],
  ['HAIRPIN', { ...POD, source: '10.244.1.5', from: 'outside' }, [['10.244.1.5', 'MASQUERADE']], NOTHING_KNOWN],
  ['BRIDGE', POD, [['10.244.1.5']], ALL_KNOWN],
  ['', POD, [['10.244.1.5', 'MASQUERADE']], ALL_KNOWN],
  ['', POD, [['192.168.55.10']], ALL_KNOWN],
  ['', POD, [['10.244.2.6']], ALL_KNOWN],
  ['', { ...POD, source: '192.168.55.10', from: 'node' }, [['192.168.55.10', 'MASQUERADE']], ALL_KNOWN],
  ['SOURCE_ADDRESS', CLIENT, [['10.244.1.5', 'MASQUERADE']], ALL_KNOWN],
  ['SOURCE_ADDRESS', { ...CLIENT, destination: '192.168.55.10', destinationPort: 30_080 }, [['10.244.1.5']], ALL_KNOWN],
  ['', { ...CLIENT, destination: '10.96.0.1' }, [['10.244.1.5', 'MASQUERADE']], ALL_KNOWN],
  ['', CLIENT, [], ALL_KNOWN],
  ['CONNTRACK_UDP', { ...POD, protocol: 'UDP', destinationPort: 53 }, [['10.244.2.6']], ALL_KNOWN],
  // Rejected by the rules, and yet served by an entry of before.
  ['CONNTRACK_UDP', { ...POD, protocol: 'UDP', destinationPort: 53 }, [], ALL_KNOWN],
  ['', { ...POD, protocol: 'UDP', destinationPort: 54 }, [], NOTHING_KNOWN],
])('%s', (codes, packet, endpoints, known) => {
  const found = looks(packet, endpoints, known).map(({ code }) => code)
  expect(found.join(' ')).toBe(codes)
})

test('each names the command that checks it, in the family of the packet', () => {
  const v6 = { ...POD, family: 'IPv6', destination: 'fd00:10:96::a', destinationPort: 53, protocol: 'UDP' } as const
  expect(looks(v6, [['fd00:10:244::5']]).map(({ command }) => command)).toEqual([
    'conntrack -L -f ipv6 -p udp --orig-dst fd00:10:96::a --orig-port-dst 53',
  ])
  expect(looks(POD, [['10.244.1.5']]).map(({ command }) => command)).toEqual([
    'sysctl net.bridge.bridge-nf-call-iptables',
  ])
})
