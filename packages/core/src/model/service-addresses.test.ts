import { describe, expect, it } from 'vitest'
import { service } from '../testing/manifests.js'
import type { JsonObject, KubernetesObject } from './kubernetes-object.js'
import type { ServicePort } from './service-port.js'
import { servicePortsOf } from './service-ports.js'

const DUAL = { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1', 'fd00:10:96::1'], ipFamilies: ['IPv4', 'IPv6'] }

const web = (spec: JsonObject, status: JsonObject = { loadBalancer: {} }): KubernetesObject =>
  service({ name: 'web', spec, status })

/** The only port of a Service of one family. */
function portOf(object: KubernetesObject): ServicePort {
  const { ports } = servicePortsOf(object)
  expect(ports).toHaveLength(1)
  if (ports[0] === undefined) throw new Error('no port')
  return ports[0]
}

const complaints = (object: KubernetesObject): readonly string[] =>
  servicePortsOf(object).diagnostics.map(({ code, path }) => `${code} ${path}`)

describe('cluster IPs', () => {
  it.each<[string, JsonObject, readonly string[], readonly string[]]>([
    [
      'follow ipFamilies',
      { clusterIP: 'fd00::1', clusterIPs: ['fd00::1', '10.96.0.1'], ipFamilies: ['IPv6', 'IPv4'] },
      ['10.96.0.1', 'fd00::1'],
      [],
    ],
    [
      'are canonical',
      { clusterIP: 'fd00:0:0::01', clusterIPs: ['fd00:0:0::01'], ipFamilies: ['IPv6'] },
      ['fd00::1'],
      [],
    ],
    ['may have leading zeros', { clusterIP: '010.96.0.1', clusterIPs: ['010.96.0.1'] }, ['10.96.0.1'], []],
    [
      'are of their own family without ipFamilies',
      { clusterIP: 'fd00::1', clusterIPs: ['fd00::1'], ipFamilies: null },
      ['fd00::1'],
      [],
    ],
    ['come from clusterIPs too without ipFamilies', { ...DUAL, ipFamilies: [] }, ['10.96.0.1', 'fd00:10:96::1'], []],
    ['come from clusterIP where clusterIPs is absent', { clusterIP: '10.96.0.9', clusterIPs: null }, ['10.96.0.9'], []],
    ['beyond ipFamilies do not count', { ...DUAL, ipFamilies: ['IPv4'] }, ['10.96.0.1'], []],
    ['may not be there yet for the second family', { ...DUAL, clusterIPs: ['10.96.0.1'] }, ['10.96.0.1'], []],
    [
      'of the wrong family are left out',
      { ...DUAL, ipFamilies: ['IPv4', 'IPv4'] },
      ['10.96.0.1'],
      ['OTHER_FAMILY spec.clusterIPs[1]'],
    ],
    [
      'that do not parse are left out',
      { ...DUAL, clusterIPs: ['10.96.0', 'fd00::1'] },
      ['fd00::1'],
      ['NOT_AN_ADDRESS spec.clusterIPs[0]'],
    ],
    [
      'of an unknown family are left out',
      { ...DUAL, ipFamilies: ['IPv4', 'IPv5'] },
      ['10.96.0.1'],
      ['OTHER_FAMILY spec.clusterIPs[1]', 'UNKNOWN_VALUE spec.ipFamilies[1]'],
    ],
  ])('%s', (_, spec, expected, diagnostics) => {
    const object = web(spec)
    expect(servicePortsOf(object).ports.map(({ clusterIP }) => clusterIP)).toEqual(expected)
    expect(complaints(object)).toEqual(diagnostics)
  })

  it.each<[readonly string[], readonly string[], readonly string[]]>([
    [['0.0.0.0/0', 'fd00::/8'], [], ['fd00::/8']],
    [['10.0.0.0/8', 'fd00::/8', ' ::/0'], ['10.0.0.0/8'], []],
    [['0.0.0.0/0', '::/0', '10.0.0.0/8', 'fd00::/8'], [], []],
    [['10.0.0.0/8'], ['10.0.0.0/8'], []],
    [['::/1', '8000::/1', '0.0.0.0/1'], ['0.0.0.0/1'], ['::/1', '8000::/1']],
  ])('source ranges of two families are each family’s own affair: %j', (ranges, four, six) => {
    const { ports } = servicePortsOf(web({ ...DUAL, type: 'LoadBalancer', loadBalancerSourceRanges: ranges }))
    expect(ports.map(({ loadBalancerSourceRanges }) => loadBalancerSourceRanges)).toEqual([four, six])
  })
})

describe('external and load-balancer addresses', () => {
  it('are sorted into families, without repetitions, in the order of the object', () => {
    const object = web(
      { ...DUAL, type: 'LoadBalancer', externalIPs: ['203.0.113.2', '203.0.113.1', '203.0.113.02', '2001:DB8::1'] },
      {
        loadBalancer: {
          ingress: [
            { ip: '192.0.2.1' },
            { ip: '192.0.2.2', ipMode: 'VIP' },
            { ip: '192.0.2.3', ipMode: 'Proxy' },
            { ip: '2001:db8::2' },
            { ip: '2001:db8::3', ipMode: 'Proxy' },
            { hostname: 'lb.example.com' },
            { ip: '', hostname: 'lb' },
          ],
        },
      },
    )
    const { ports, diagnostics } = servicePortsOf(object)
    expect(ports).toMatchObject([
      {
        family: 'IPv4',
        externalIPs: ['203.0.113.2', '203.0.113.1'],
        loadBalancerVIPs: ['192.0.2.1', '192.0.2.2'],
        loadBalancerProxyIPs: ['192.0.2.3'],
      },
      {
        family: 'IPv6',
        externalIPs: ['2001:db8::1'],
        loadBalancerVIPs: ['2001:db8::2'],
        loadBalancerProxyIPs: ['2001:db8::3'],
      },
    ])
    expect(diagnostics).toEqual([])
  })

  it('are left out where the Service is not of their family, and said', () => {
    const object = web(
      { externalIPs: ['2001:db8::1', 'nowhere', 7] },
      {
        loadBalancer: {
          ingress: [{ ip: '2001:db8::2' }, { ip: 'x' }, { ip: '192.0.2.1', ipMode: 'Tunnel' }, 'lb', { ip: 5 }],
        },
      },
    )
    expect(portOf(object)).toMatchObject({ externalIPs: [], loadBalancerVIPs: [], loadBalancerProxyIPs: ['192.0.2.1'] })
    expect(complaints(object)).toEqual([
      'OTHER_FAMILY spec.externalIPs[0]',
      'NOT_AN_ADDRESS spec.externalIPs[1]',
      'NOT_AN_ADDRESS spec.externalIPs[2]',
      'OTHER_FAMILY status.loadBalancer.ingress[0].ip',
      'NOT_AN_ADDRESS status.loadBalancer.ingress[1].ip',
      'UNKNOWN_VALUE status.loadBalancer.ingress[2].ipMode',
      'WRONG_TYPE status.loadBalancer.ingress[3]',
      'NOT_AN_ADDRESS status.loadBalancer.ingress[4].ip',
    ])
  })

  it.each<[string, readonly string[], readonly string[], readonly string[]]>([
    [
      'are trimmed, cleared of host bits and told once',
      [' 10.1.2.3/8', '10.0.0.0/8 ', '192.0.2.0/24'],
      ['10.0.0.0/8', '192.0.2.0/24'],
      [],
    ],
    ['of the other family are left out without a word', ['fd00::/8'], [], []],
    [
      'that do not parse are left out',
      ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/8'],
      ['10.0.0.0/8'],
      ['NOT_A_CIDR spec.loadBalancerSourceRanges[0]', 'NOT_A_CIDR spec.loadBalancerSourceRanges[1]'],
    ],
    ['are none when no one is valid', ['everybody'], [], ['NOT_A_CIDR spec.loadBalancerSourceRanges[0]']],
    ['are none where one holds all addresses', ['0.0.0.0/0'], [], []],
    ['are none wherever that one stands', ['10.0.0.0/8', '\t192.0.2.1/0 ', '192.0.2.0/24'], [], []],
    ['of the other family may hold all of that', ['::/0', '10.0.0.0/8'], ['10.0.0.0/8'], []],
  ])('source ranges %s', (_, ranges, expected, diagnostics) => {
    const object = web({ type: 'LoadBalancer', loadBalancerSourceRanges: ranges })
    expect(portOf(object).loadBalancerSourceRanges).toEqual(expected)
    expect(complaints(object)).toEqual(diagnostics)
  })
})
