import { buildState, type IpFamily, type JsonObject } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import { describe, expect, test } from 'vitest'
import { CliError } from '../errors.js'
import { skippedServices } from './names.js'
import { parsePacket, resolvePacket } from './resolve-packet.js'

const endpoint = (addresses: readonly string[], nodeName: string, pod: string): JsonObject => ({
  addresses,
  nodeName,
  targetRef: { kind: 'Pod', name: pod },
})

const { state, skipped } = buildState({
  objects: [
    {
      ...node({ name: 'node-a', podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] }),
      status: {
        addresses: [
          { type: 'InternalIP', address: '192.168.55.10' },
          { type: 'InternalIP', address: 'fd00:55::10' },
        ],
      },
    },
    { ...node({ name: 'node-b' }), status: { addresses: [{ type: 'InternalIP', address: '192.168.55.11' }] } },
    service({
      namespace: 'shop',
      name: 'web',
      spec: {
        clusterIP: '10.96.0.1',
        clusterIPs: ['10.96.0.1', 'fd00:10:96::1'],
        ipFamilies: ['IPv4', 'IPv6'],
        ports: [
          { name: 'http', port: 80, protocol: 'TCP' },
          { name: 'admin', port: 81, protocol: 'TCP' },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      },
    }),
    service({
      namespace: 'shop',
      name: 'six',
      spec: { clusterIP: 'fd00:10:96::6', ipFamilies: ['IPv6'], ports: [{ port: 80 }] },
    }),
    service({ namespace: 'shop', name: 'db', spec: { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] } }),
    service({ namespace: 'shop', name: 'twice', spec: { clusterIP: '10.96.0.3', ports: [{ port: 80 }] } }),
    service({ namespace: 'test', name: 'twice', spec: { clusterIP: '10.96.0.4', ports: [{ port: 80 }] } }),
    slice({
      namespace: 'shop',
      name: 'web-1',
      service: 'web',
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [endpoint(['10.244.1.5'], 'node-a', 'web-0'), endpoint(['10.244.2.6'], 'node-b', 'web-1')],
    }),
    slice({
      namespace: 'shop',
      name: 'web-2',
      service: 'web',
      addressType: 'IPv6',
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [endpoint(['fd00:10:244:1::5'], 'node-a', 'web-0')],
    }),
  ],
  nodeName: 'node-a',
})

const resolve = (text: string, family?: IpFamily): string => {
  const { source, sourcePort, from, destination, destinationPort } = resolvePacket({
    packet: parsePacket(text),
    names: { ...state, skipped: skippedServices(skipped) },
    node: state.node,
    nodeAddresses: ['192.168.55.10', 'fd00:55::10'],
    family,
  })
  return `${from} ${source}${sourcePort === undefined ? '' : ` ${sourcePort}`} -> ${destination} ${destinationPort}`
}

describe('names', () => {
  test.each([
    ['tcp 10.244.1.9 -> 10.96.0.1:80', 'pod 10.244.1.9 -> 10.96.0.1 80'],
    ['tcp 10.244.2.9:4000 -> 10.96.0.1:80', 'outside 10.244.2.9 4000 -> 10.96.0.1 80'],
    ['tcp 192.168.55.10 -> 10.96.0.1:80', 'node 192.168.55.10 -> 10.96.0.1 80'],
    ['tcp node -> shop/web:http', 'node 192.168.55.10 -> 10.96.0.1 80'],
    ['tcp node-a -> web:81', 'node 192.168.55.10 -> 10.96.0.1 81'],
    ['udp node-b -> shop/web', 'outside 192.168.55.11 -> 10.96.0.1 53'],
    ['tcp web-0 -> web-1:8080', 'pod 10.244.1.5 -> 10.244.2.6 8080'],
    ['tcp shop/web-1 -> node-a:30080', 'outside 10.244.2.6 -> 192.168.55.10 30080'],
    ['tcp outside -> node:30080', 'outside 198.18.0.1 -> 192.168.55.10 30080'],
    ['tcp node -> 127.0.0.1:30080', 'node 127.0.0.1 -> 127.0.0.1 30080'],
    ['tcp node -> [fd00:55::10]:1', 'node fd00:55::10 -> fd00:55::10 1'],
    ['tcp node -> localhost:30080', 'node 127.0.0.1 -> 127.0.0.1 30080'],
    ['tcp localhost -> shop/six', 'node ::1 -> fd00:10:96::6 80'],
    ['tcp ::1 -> localhost:30080', 'node ::1 -> ::1 30080'],
    // One address says which family names are of.
    ['tcp fd00:10:244:1::9 -> shop/web:http', 'pod fd00:10:244:1::9 -> fd00:10:96::1 80'],
    ['tcp node -> shop/six', 'node fd00:55::10 -> fd00:10:96::6 80'],
    ['tcp web-0 -> [fd00:10:96::6]:80', 'pod fd00:10:244:1::5 -> fd00:10:96::6 80'],
  ])('%s', (text, resolved) => {
    expect(resolve(text)).toBe(resolved)
  })

  test('are of the family that is asked for, where they have both', () => {
    expect(resolve('tcp outside -> shop/web:http', 'IPv6')).toBe('outside 2001:db8:ffff::1 -> fd00:10:96::1 80')
    expect(resolve('tcp node -> localhost:30080', 'IPv6')).toBe('node ::1 -> ::1 30080')
  })
})

describe('refused', () => {
  test.each([
    ['tcp node -> shop/web', 'USAGE', 'which port of shop/web? it has shop/web:http (80/TCP), shop/web:admin (81/TCP)'],
    ['udp node -> shop/web:http', 'NOT_FOUND', 'shop/web has no UDP port http: it has'],
    ['tcp node -> twice', 'USAGE', 'twice is ambiguous: give one of shop/twice, test/twice'],
    ['tcp node -> shop/wbe:http', 'NOT_FOUND', 'did you mean shop/web?'],
    ['tcp node -> shop/db', 'NOT_FOUND', 'no rule is for shop/db (headless: clusterIP is None, '],
    ['tcp node -> db:sql', 'NOT_FOUND', 'no rule is for shop/db (headless'],
    ['tcp web-2 -> web:http', 'NOT_FOUND', 'there is no Service, pod or Node web-2: did you mean web-'],
    [
      'tcp web -> web:http',
      'USAGE',
      'web is a Service, and Services send no packets: give one of its pods, as shop/web-0',
    ],
    ['tcp node -> shop/web-0', 'USAGE', 'which port of shop/web-0?'],
    ['tcp node -> 10.96.0.1:0', 'USAGE', '"0" is no port'],
    ['tcp 10.244.1.9 -> [fd00:10:96::1]:80', 'USAGE', 'different IP families'],
    ['tcp node-b -> shop/six', 'NOT_FOUND', 'the Node node-b has no IPv6 address'],
    ['tcp 10.244.1.9 -> shop/six', 'NOT_FOUND', 'shop/six has no IPv4 address'],
  ])('%s', (text, code, message) => {
    try {
      expect(resolve(text)).toBe('refused')
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)])
    }
  })
})
