import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hostileObjectArbitrary, serviceArbitrary } from '../testing/arbitraries.js'
import { service } from '../testing/manifests.js'
import type { JsonObject, KubernetesObject } from './kubernetes-object.js'
import type { ServicePort } from './service-port.js'
import { servicePortsOf } from './service-ports.js'

const DUAL = { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1', 'fd00:10:96::1'], ipFamilies: ['IPv4', 'IPv6'] }

const web = (spec: JsonObject): KubernetesObject => service({ name: 'web', spec })

/** The only port of a Service of one family. */
function portOf(object: KubernetesObject): ServicePort {
  const { ports } = servicePortsOf(object)
  expect(ports).toHaveLength(1)
  if (ports[0] === undefined) throw new Error('no port')
  return ports[0]
}

const complaints = (object: KubernetesObject): readonly string[] =>
  servicePortsOf(object).diagnostics.map(({ code, path }) => `${code} ${path}`)

describe('a Service', () => {
  it('gives one service port with everything that rules need', () => {
    expect(servicePortsOf(service({ name: 'web', createdAt: '2026-03-04T05:06:07Z' }))).toEqual({
      ports: [
        {
          id: 'shop/web:http/TCP/IPv4',
          service: 'shop/web',
          namespace: 'shop',
          name: 'web',
          portName: 'http',
          protocol: 'TCP',
          family: 'IPv4',
          clusterIP: '10.96.0.1',
          port: 80,
          nodePort: 0,
          externalIPs: [],
          loadBalancerVIPs: [],
          loadBalancerProxyIPs: [],
          loadBalancerSourceRanges: [],
          healthCheckNodePort: 0,
          externalTrafficPolicy: 'Cluster',
          internalTrafficPolicy: 'Cluster',
          affinitySeconds: 0,
          createdAt: '2026-03-04T05:06:07Z',
        },
      ],
      skipped: [{ service: 'shop/web', family: 'IPv6', reason: 'NO_CLUSTER_IP_OF_FAMILY' }],
      diagnostics: [],
    })
  })

  it('gives one service port for each port and family', () => {
    const ports = [
      { name: 'dns', protocol: 'UDP', port: 53 },
      { name: 'dns', port: 53 },
      { name: 'sctp', protocol: 'SCTP', port: 9 },
    ]
    const { ports: all, skipped } = servicePortsOf(web({ ...DUAL, ports }))
    expect(all.map(({ id, clusterIP }) => `${id} ${clusterIP}`)).toEqual([
      'shop/web:dns/UDP/IPv4 10.96.0.1',
      'shop/web:dns/UDP/IPv6 fd00:10:96::1',
      'shop/web:dns/TCP/IPv4 10.96.0.1',
      'shop/web:dns/TCP/IPv6 fd00:10:96::1',
      'shop/web:sctp/SCTP/IPv4 10.96.0.1',
      'shop/web:sctp/SCTP/IPv6 fd00:10:96::1',
    ])
    expect(skipped).toEqual([])
  })

  it('is asked about one family alone', () => {
    expect(servicePortsOf(web(DUAL), ['IPv6']).ports.map(({ id }) => id)).toEqual(['shop/web:http/TCP/IPv6'])
    expect(servicePortsOf(web({}), ['IPv4']).skipped).toEqual([])
  })

  it.each<[string, JsonObject, string]>([
    ['headless', { clusterIP: 'None', clusterIPs: ['None'] }, 'HEADLESS'],
    ['ExternalName', { type: 'ExternalName', clusterIP: '', externalName: 'example.com' }, 'EXTERNAL_NAME'],
    ['ExternalName with a left-over cluster IP', { type: 'ExternalName' }, 'EXTERNAL_NAME'],
    ['without a cluster IP', { clusterIP: '' }, 'NO_CLUSTER_IP'],
  ])('that is %s gets no rules', (_, spec, reason) => {
    expect(servicePortsOf(web(spec))).toEqual({
      ports: [],
      skipped: [{ service: 'shop/web', reason }],
      diagnostics: [],
    })
  })

  it('of another proxy gets no rules, whatever the value of the label', () => {
    const labels = { 'service.kubernetes.io/service-proxy-name': '' }
    expect(servicePortsOf(service({ name: 'web', labels })).skipped).toEqual([
      { service: 'shop/web', reason: 'OTHER_PROXY' },
    ])
  })
})

describe('ports that cannot be used', () => {
  it.each<[string, JsonObject | string | null, string, string]>([
    ['without a number', { name: 'bad' }, 'bad', 'NOT_A_PORT spec.ports[1].port'],
    ['of number 0', { name: 'bad', port: 0 }, 'bad', 'NOT_A_PORT spec.ports[1].port'],
    ['of number 65536', { name: 'bad', port: 65536 }, 'bad', 'NOT_A_PORT spec.ports[1].port'],
    ['of half a number', { name: 'bad', port: 80.5 }, 'bad', 'NOT_A_PORT spec.ports[1].port'],
    ['of a number written as text', { name: 'bad', port: '80' }, 'bad', 'NOT_A_PORT spec.ports[1].port'],
    [
      'of an unknown protocol',
      { name: 'bad', port: 80, protocol: 'QUIC' },
      'bad',
      'UNKNOWN_PROTOCOL spec.ports[1].protocol',
    ],
    [
      'of a protocol in lower case',
      { name: 'bad', port: 80, protocol: 'udp' },
      'bad',
      'UNKNOWN_PROTOCOL spec.ports[1].protocol',
    ],
    ['with a slash in the name', { name: 'a/b', port: 80 }, 'ports[1]', 'INVALID_NAME spec.ports[1].name'],
    ['with a colon in the name', { name: 'a:b', port: 80 }, 'ports[1]', 'INVALID_NAME spec.ports[1].name'],
    ['with a quote in the name', { name: 'a" -j DROP', port: 80 }, 'ports[1]', 'INVALID_NAME spec.ports[1].name'],
    ['with a line break in the name', { name: 'a\n', port: 80 }, 'ports[1]', 'INVALID_NAME spec.ports[1].name'],
    ['with a name that is no text', { name: 5, port: 80 }, 'ports[1]', 'INVALID_NAME spec.ports[1].name'],
    ['that are no object', 'http', 'ports[1]', 'WRONG_TYPE spec.ports[1]'],
    ['that are null', null, 'ports[1]', 'WRONG_TYPE spec.ports[1]'],
  ])('%s are skipped, and the others are not', (_, port, portName, diagnostic) => {
    const { ports, skipped, diagnostics } = servicePortsOf(web({ ports: [{ name: 'http', port: 80 }, port] }), ['IPv4'])
    expect(ports.map(({ id }) => id)).toEqual(['shop/web:http/TCP/IPv4'])
    expect(skipped).toEqual([{ service: 'shop/web', portName, reason: 'INVALID_PORT' }])
    expect(diagnostics.map(({ code, path }) => `${code} ${path}`)).toEqual([diagnostic])
  })

  it('of the same name and protocol: the first wins', () => {
    const object = web({
      ports: [
        { name: 'http', port: 80 },
        { name: 'http', port: 81 },
        { name: 'http', port: 82, protocol: 'UDP' },
      ],
    })
    expect(servicePortsOf(object).ports.map(({ port }) => port)).toEqual([80, 82])
    expect(complaints(object)).toEqual(['DUPLICATE_PORT spec.ports[1].name'])
  })

  it('keep their cluster IP when only the node port is wrong', () => {
    const object = web({ type: 'NodePort', ports: [{ port: 80, nodePort: -1 }] })
    expect(portOf(object)).toMatchObject({ id: 'shop/web/TCP/IPv4', port: 80, nodePort: 0 })
    expect(complaints(object)).toEqual(['NOT_A_PORT spec.ports[0].nodePort'])
  })
})

describe('objects that no API server would serve', () => {
  it.each([
    ['a slash in the name', { name: 'a/b', namespace: 'shop' }],
    ['a quote in the name', { name: 'a"b', namespace: 'shop' }],
    ['a line break in the namespace', { name: 'web', namespace: 'shop\n-A' }],
    ['capitals in the name', { name: 'Web', namespace: 'shop' }],
    ['no namespace', { name: 'web' }],
  ])('with %s give no service port', (_, metadata) => {
    const { ports, skipped, diagnostics } = servicePortsOf({ ...web({}), kind: 'Service', metadata })
    expect(ports).toEqual([])
    expect(skipped.map(({ reason }) => reason)).toEqual(['INVALID_NAME'])
    expect(diagnostics.map(({ code }) => code)).toEqual(['INVALID_NAME'])
    expect(JSON.stringify({ skipped, object: diagnostics[0]?.object })).not.toMatch(/[\n]/)
  })

  it('name where and what in a message that fits on a line', () => {
    const [diagnostic] = servicePortsOf(web({ externalIPs: ['\u001b[2J\n'] })).diagnostics
    expect(diagnostic).toEqual({
      code: 'NOT_AN_ADDRESS',
      object: 'Service shop/web',
      path: 'spec.externalIPs[0]',
      value: '\u001b[2J\n',
      message: 'spec.externalIPs[0] ("\\u001b[2J\\n"): the value is not an IP address',
    })
  })

  it('never throw, and never put anything but plain names into a service port', () => {
    fc.assert(
      fc.property(hostileObjectArbitrary('Service'), (object) => {
        for (const port of servicePortsOf(object).ports) {
          expect(port.id).toMatch(/^[-a-z0-9.]+\/[-a-z0-9.]+(:[-A-Za-z0-9_.]+)?\/(TCP|UDP|SCTP)\/IPv[46]$/)
          expect(`${port.clusterIP}${port.externalIPs.join('')}`).toMatch(/^[0-9a-f:.]+$/)
          expect(port.port).toBeGreaterThan(0)
        }
      }),
    )
  })

  it('are the only ones with diagnostics', () => {
    fc.assert(
      fc.property(serviceArbitrary(), (object) => {
        expect(servicePortsOf(object).diagnostics).toEqual([])
      }),
    )
  })
})
