import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hostileObjectArbitrary, nodeArbitrary } from '../testing/arbitraries.js'
import type { JsonObject, KubernetesObject } from './kubernetes-object.js'
import { nodeInfoOf } from './node.js'

interface Fields {
  readonly metadata?: JsonObject
  readonly spec?: JsonObject
  readonly status?: JsonObject
}
const nodeA = ({ metadata = {}, spec = {}, status = {} }: Fields): KubernetesObject => ({
  kind: 'Node',
  metadata: { ...metadata, name: 'node-a' },
  spec,
  status,
})
const internal = (address: string): JsonObject => ({ type: 'InternalIP', address })

describe('a Node', () => {
  it.each<[string, Fields, JsonObject, readonly string[]]>([
    [
      'with nothing said',
      {},
      { name: 'node-a', addresses: [], podCIDRs: [], zone: '', taints: [], deleting: false },
      [],
    ],
    [
      'lists InternalIP before ExternalIP, both families, each address once',
      {
        status: {
          addresses: [
            { type: 'ExternalIP', address: '203.0.113.9' },
            internal('FD00:55::10'),
            { type: 'Hostname', address: 'node-a' },
            internal('192.168.55.10'),
            { type: 'ExternalIP', address: '192.168.55.10' },
          ],
        },
      },
      { addresses: ['fd00:55::10', '192.168.55.10', '203.0.113.9'] },
      [],
    ],
    [
      'leaves out addresses that are none',
      { status: { addresses: [internal('node-a'), { type: 'InternalIP' }, 'x', internal('192.168.55.10')] } },
      { addresses: ['192.168.55.10'] },
      [
        'NOT_AN_ADDRESS status.addresses[0].address',
        'NOT_AN_ADDRESS status.addresses[1].address',
        'WRONG_TYPE status.addresses[2]',
      ],
    ],
    [
      'has pod CIDRs in canonical spelling',
      { spec: { podCIDR: '10.9.0.0/16', podCIDRs: ['10.244.1.7/24', 'FD00:10:244:1::/64'] } },
      { podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] },
      [],
    ],
    [
      'has the older podCIDR where the list is absent',
      { spec: { podCIDR: '10.9.0.0/16' } },
      { podCIDRs: ['10.9.0.0/16'] },
      [],
    ],
    [
      'leaves out a pod CIDR that is none',
      { spec: { podCIDRs: ['10.9.0.0'] } },
      { podCIDRs: [] },
      ['NOT_A_CIDR spec.podCIDRs[0]'],
    ],
    ['has a zone', { metadata: { labels: { 'topology.kubernetes.io/zone': 'zone-a' } } }, { zone: 'zone-a' }, []],
    ['is being deleted', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, { deleting: true }, []],
    ['is not being deleted', { metadata: { deletionTimestamp: null } }, { deleting: false }, []],
    [
      'has taints',
      {
        spec: {
          taints: [
            { key: 'a', value: '1', effect: 'NoSchedule' },
            { key: 'b', effect: 'NoExecute' },
            { key: 'c' },
            'd',
          ],
        },
      },
      {
        taints: [
          { key: 'a', value: '1', effect: 'NoSchedule' },
          { key: 'b', effect: 'NoExecute' },
        ],
      },
      ['WRONG_TYPE spec.taints[3]'],
    ],
  ])('%s', (_, fields, expected, complaints) => {
    const { node, diagnostics } = nodeInfoOf(nodeA(fields))
    expect(node).toMatchObject(expected)
    expect(diagnostics.map(({ code, path }) => `${code} ${path}`)).toEqual(complaints)
  })

  it('has no diagnostics when an API server served it', () => {
    fc.assert(
      fc.property(nodeArbitrary(), (object) => {
        expect(nodeInfoOf(object).diagnostics).toEqual([])
      }),
    )
  })

  it('never throws, whatever it holds', () => {
    fc.assert(
      fc.property(hostileObjectArbitrary('Node'), (object) => {
        const { node } = nodeInfoOf(object)
        expect(node.addresses.every((address) => /^[0-9a-f:.]+$/.test(address))).toBe(true)
        expect(node.podCIDRs.every((cidr) => /^[0-9a-f:./]+$/.test(cidr))).toBe(true)
      }),
    )
  })
})
