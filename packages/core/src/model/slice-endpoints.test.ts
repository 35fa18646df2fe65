import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointSliceArbitrary, hostileObjectArbitrary } from '../testing/arbitraries.js'
import { slice } from '../testing/manifests.js'
import { endpointKey } from './endpoint.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import { endpointsOfSlice } from './slice-endpoints.js'

/** `port/TCP/IPv4 -> address:port ...` for each service port. */
const told = (object: KubernetesObject): readonly string[] =>
  [...endpointsOfSlice(object).endpoints].map(([id, list]) => `${id} -> ${list.map(endpointKey).join(' ')}`)

const complaints = (object: KubernetesObject): readonly string[] =>
  endpointsOfSlice(object).diagnostics.map(({ code, path }) => `${code} ${path}`)

const web = (endpoints: readonly (string | JsonObject)[], ports?: readonly JsonObject[]): KubernetesObject =>
  slice({ name: 'web-x', service: 'web', endpoints, ...(ports && { ports }) })

const withField = (field: string, value: Json): KubernetesObject => ({ ...web(['10.244.1.1']), [field]: value })

describe('an EndpointSlice', () => {
  it('gives each of its ports the endpoints, with all that is known of them', () => {
    const object = slice({
      name: 'web-x',
      service: 'web',
      resourceVersion: '42',
      endpoints: [
        {
          addresses: ['10.244.1.14', '10.244.1.15'],
          conditions: { ready: false, serving: true, terminating: true },
          nodeName: 'node-a',
          zone: 'zone-a',
          hints: {
            forZones: [{ name: 'zone-b' }, { name: 'zone-a' }, { name: 'zone-b' }],
            forNodes: [{ name: 'node-a' }],
          },
          targetRef: { kind: 'Pod', name: 'web-7d', namespace: 'shop' },
        },
      ],
    })
    const endpoint = {
      address: '10.244.1.14',
      port: 8080,
      ready: false,
      serving: true,
      terminating: true,
      nodeName: 'node-a',
      zone: 'zone-a',
      zoneHints: ['zone-a', 'zone-b'],
      nodeHints: ['node-a'],
      pod: 'web-7d',
    }
    expect(endpointsOfSlice(object)).toEqual({
      service: 'shop/web',
      slice: 'web-x',
      resourceVersion: '42',
      endpoints: new Map([['shop/web:http/TCP/IPv4', [endpoint]]]),
      diagnostics: [],
    })
  })

  it('says nothing of what it does not know', () => {
    const object = web([
      {
        addresses: ['10.244.1.1'],
        conditions: {},
        nodeName: null,
        zone: null,
        hints: { forZones: [], forNodes: null },
        targetRef: { kind: 'VM', name: 'x' },
      },
    ])
    expect([...endpointsOfSlice(object).endpoints.values()]).toStrictEqual([
      [{ address: '10.244.1.1', port: 8080, ready: true, serving: true, terminating: false }],
    ])
    expect(complaints(object)).toEqual([])
  })

  it.each<[string, JsonObject, readonly [boolean, boolean, boolean]]>([
    ['no conditions at all', {}, [true, true, false]],
    ['null conditions', { conditions: { ready: null, serving: null, terminating: null } }, [true, true, false]],
    ['not ready', { conditions: { ready: false } }, [false, true, false]],
    ['terminating', { conditions: { ready: false, terminating: true } }, [false, true, true]],
    [
      'terminating and no longer serving',
      { conditions: { ready: false, serving: false, terminating: true } },
      [false, false, true],
    ],
  ])('reads %s', (_, fields, [ready, serving, terminating]) => {
    const [list] = endpointsOfSlice(web([{ addresses: ['10.244.1.1'], ...fields }])).endpoints.values()
    expect(list).toMatchObject([{ ready, serving, terminating }])
  })

  it.each<[string, readonly JsonObject[], readonly string[], readonly string[]]>([
    ['an unnamed port', [{ name: '', port: 80, protocol: 'TCP' }], ['shop/web/TCP/IPv4 -> 10.244.1.1:80'], []],
    ['no protocol', [{ name: 'http', port: 80 }], ['shop/web:http/TCP/IPv4 -> 10.244.1.1:80'], []],
    [
      'one name in two protocols',
      [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns', port: 53, protocol: 'TCP' },
      ],
      ['shop/web:dns/UDP/IPv4 -> 10.244.1.1:53', 'shop/web:dns/TCP/IPv4 -> 10.244.1.1:53'],
      [],
    ],
    [
      'one name with two numbers',
      [
        { name: 'http', port: 9090 },
        { name: 'http', port: 8080 },
      ],
      ['shop/web:http/TCP/IPv4 -> 10.244.1.1:8080 10.244.1.1:9090'],
      [],
    ],
    [
      'one name and number twice',
      [
        { name: 'http', port: 80 },
        { name: 'http', port: 80 },
      ],
      ['shop/web:http/TCP/IPv4 -> 10.244.1.1:80'],
      [],
    ],
    [
      'a port without a name',
      [{ port: 80 }, { name: null, port: 81 }],
      [],
      ['NO_PORT_NAME ports[0].name', 'NO_PORT_NAME ports[1].name'],
    ],
    [
      'a port without a number',
      [{ name: 'a' }, { name: 'b', port: null }, { name: 'c', port: 0 }],
      [],
      ['NO_PORT_NUMBER ports[0].port', 'NO_PORT_NUMBER ports[1].port', 'NO_PORT_NUMBER ports[2].port'],
    ],
    [
      'a wrong number',
      [
        { name: 'a', port: 65536 },
        { name: 'b', port: '80' },
      ],
      [],
      ['NOT_A_PORT ports[0].port', 'NOT_A_PORT ports[1].port'],
    ],
    ['an unknown protocol', [{ name: 'a', port: 80, protocol: 'ICMP' }], [], ['UNKNOWN_PROTOCOL ports[0].protocol']],
    [
      'a name that could not stand in a rule',
      [
        { name: 'a"b', port: 80 },
        { name: 'a:b', port: 80 },
        { name: 7, port: 80 },
      ],
      [],
      ['INVALID_NAME ports[0].name', 'INVALID_NAME ports[1].name', 'INVALID_NAME ports[2].name'],
    ],
  ])('with %s', (_, ports, expected, diagnostics) => {
    const object = web(['10.244.1.1'], ports)
    expect(told(object)).toEqual(expected)
    expect(complaints(object)).toEqual(diagnostics)
  })

  it('lists endpoints as their keys compare as texts', () => {
    expect(
      told(
        web(
          ['10.244.1.2', '10.244.1.1', '10.244.1.10'],
          [
            { name: 'a', port: 80 },
            { name: 'b', port: 9 },
          ],
        ),
      ),
    ).toEqual([
      'shop/web:a/TCP/IPv4 -> 10.244.1.10:80 10.244.1.1:80 10.244.1.2:80',
      'shop/web:b/TCP/IPv4 -> 10.244.1.10:9 10.244.1.1:9 10.244.1.2:9',
    ])
  })

  it('is of the IPv6 family, with canonical addresses', () => {
    const object = slice({ name: 'web-6', service: 'web', addressType: 'IPv6', endpoints: ['FD00:0::0a'] })
    expect(told(object)).toEqual(['shop/web:http/TCP/IPv6 -> [fd00::a]:8080'])
  })

  it.each<[string, readonly (string | JsonObject)[], boolean | undefined]>([
    ['one that is not terminating wins, last', [terminating('10.244.1.1'), '10.244.1.1'], false],
    ['one that is not terminating wins, first', ['10.244.1.1', terminating('10.244.1.1')], false],
    ['else the first wins', [{ ...terminating('10.244.1.1'), nodeName: 'node-a' }, terminating('10.244.1.1')], true],
  ])('names an endpoint once: %s', (_, endpoints, isTerminating) => {
    const [list = []] = endpointsOfSlice(web(endpoints)).endpoints.values()
    expect(list).toHaveLength(1)
    expect(list[0]).toMatchObject({ terminating: isTerminating, nodeName: 'node-a' })
  })

  it.each<[string, KubernetesObject, readonly string[]]>([
    [
      'no label of a Service',
      slice({ name: 'x', service: null, endpoints: ['10.244.1.1'] }),
      ['NO_SERVICE_NAME metadata.labels'],
    ],
    ['an empty label', slice({ name: 'x', service: '', endpoints: [] }), ['NO_SERVICE_NAME metadata.labels']],
    [
      'a label that is no name',
      slice({ name: 'x', service: 'a/b', endpoints: [] }),
      ['INVALID_NAME metadata.labels[kubernetes.io/service-name]'],
    ],
  ])('with %s belongs to nobody', (_, object, diagnostics) => {
    expect(endpointsOfSlice(object).service).toBeUndefined()
    expect(told(object)).toEqual([])
    expect(complaints(object)).toEqual(diagnostics)
  })

  it.each<[string, KubernetesObject, readonly string[]]>([
    [
      'FQDN addresses',
      slice({ name: 'x', service: 'web', addressType: 'FQDN', endpoints: ['a.example'] }),
      ['UNSUPPORTED_ADDRESS_TYPE addressType'],
    ],
    ['no address type', withField('addressType', null), ['UNSUPPORTED_ADDRESS_TYPE addressType']],
    ['null endpoints', withField('endpoints', null), []],
    ['null ports', withField('ports', null), []],
    ['no endpoints', web([]), []],
    ['endpoints that are no list', withField('endpoints', 'all'), ['WRONG_TYPE endpoints']],
    ['an endpoint that is no object', withField('endpoints', ['10.244.1.1']), ['WRONG_TYPE endpoints[0]']],
    [
      'an endpoint without addresses',
      web([{ addresses: [] }, {}]),
      ['NO_ADDRESS endpoints[0].addresses', 'NO_ADDRESS endpoints[1].addresses'],
    ],
    [
      'an address of the other family',
      web([{ addresses: ['fd00::1', '10.244.1.1'] }]),
      ['OTHER_FAMILY endpoints[0].addresses[0]'],
    ],
    [
      'an address that is none',
      web([{ addresses: ['web.example'] }, { addresses: [5] }]),
      ['NOT_AN_ADDRESS endpoints[0].addresses[0]', 'NOT_AN_ADDRESS endpoints[1].addresses[0]'],
    ],
  ])('with %s has no entry', (_, object, diagnostics) => {
    expect(told(object)).toEqual([])
    expect(complaints(object)).toEqual(diagnostics)
  })

  it('keeps an endpoint whose other fields are of wrong types', () => {
    const object = web([
      {
        addresses: ['10.244.1.1'],
        conditions: { ready: 'no' },
        nodeName: 5,
        hints: { forZones: [{ name: 1 }, 'z'] },
        targetRef: [],
      },
    ])
    expect([...endpointsOfSlice(object).endpoints.values()]).toStrictEqual([
      [{ address: '10.244.1.1', port: 8080, ready: true, serving: true, terminating: false }],
    ])
    expect(complaints(object)).toEqual([
      'WRONG_TYPE endpoints[0].conditions.ready',
      'WRONG_TYPE endpoints[0].nodeName',
      'WRONG_TYPE endpoints[0].hints.forZones[0].name',
      'WRONG_TYPE endpoints[0].hints.forZones[1]',
      'WRONG_TYPE endpoints[0].targetRef',
    ])
  })

  it('never throws, and lists endpoints sorted and once, whatever it holds', () => {
    fc.assert(
      fc.property(fc.oneof(hostileObjectArbitrary('EndpointSlice'), endpointSliceArbitrary()), (object) => {
        for (const [id, list] of endpointsOfSlice(object).endpoints) {
          expect(id).toMatch(/^[-a-z0-9.]+\/[-a-z0-9.]+(:[-A-Za-z0-9_.]+)?\/(TCP|UDP|SCTP)\/IPv[46]$/)
          const keys = list.map(endpointKey)
          expect(keys).toEqual([...new Set(keys)].toSorted((a, b) => (a < b ? -1 : 1)))
          expect(keys).not.toEqual([])
        }
      }),
    )
  })

  it('has no diagnostics when an API server served it', () => {
    fc.assert(
      fc.property(endpointSliceArbitrary(), (object) => {
        expect(endpointsOfSlice(object).diagnostics).toEqual([])
      }),
    )
  })
})

function terminating(address: string): JsonObject {
  return { addresses: [address], conditions: { ready: false, serving: true, terminating: true } }
}
