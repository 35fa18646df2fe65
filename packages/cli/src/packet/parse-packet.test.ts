import { expect, test } from 'vitest'
import { CliError } from '../errors.js'
import { parsePacket } from './resolve-packet.js'

test.each([
  ['tcp 10.244.1.5 -> 10.96.0.10:53', 'TCP', '10.244.1.5', undefined, '10.96.0.10', '53'],
  ['UDP 10.244.1.5:4000->10.96.0.10:53', 'UDP', '10.244.1.5', '4000', '10.96.0.10', '53'],
  ['  sctp  outside  ->  shop/cart  ', 'SCTP', 'outside', undefined, 'shop/cart', undefined],
  ['tcp node-a -> kube-system/kube-dns:dns-tcp', 'TCP', 'node-a', undefined, 'kube-system/kube-dns', 'dns-tcp'],
  ['tcp fd00::5 -> [fd00:10:96::a]:53', 'TCP', 'fd00::5', undefined, 'fd00:10:96::a', '53'],
  ['tcp [fd00::5]:4000 -> fd00:10:96::a', 'TCP', 'fd00::5', '4000', 'fd00:10:96::a', undefined],
])('%s', (text, protocol, from, fromPort, to, toPort) => {
  const packet = parsePacket(text)
  expect([packet.protocol, packet.source.host, packet.source.port]).toEqual([protocol, from, fromPort])
  expect([packet.destination.host, packet.destination.port]).toEqual([to, toPort])
})

test.each(['', 'tcp', 'tcp a', 'tcp a ->', 'tcp a b', '-> b', 'tcp a -> b c', 'igmp a -> b', 'tcp -> b'])(
  '%j is none',
  (text) => {
    expect(() => parsePacket(text)).toThrow(CliError)
  },
)
