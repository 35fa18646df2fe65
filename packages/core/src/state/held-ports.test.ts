import { describe, expect, it } from 'vitest'
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '../model/proxy-config.js'
import { stateOf, type PortDescription } from '../testing/state-builder.js'
import { portsToHold } from './held-ports.js'

const heldOf = (ports: readonly PortDescription[], config: Partial<ProxyConfig> = {}): readonly string[] =>
  portsToHold(stateOf({ node: {}, ports }), {
    config: { ...DEFAULT_PROXY_CONFIG, ...config },
    families: ['IPv4', 'IPv6'],
    interfaceAddresses: ['127.0.0.1', '192.168.55.10', 'fd00:55::10', '::1'],
  }).map(
    ({ family, protocol, address, port, type, owners }) =>
      `${family} ${protocol} ${address || '*'} ${port} ${type} ${owners.join()}`,
  )

const web: PortDescription = { is: 'shop/web:http', clusterIP: '10.96.0.1', nodePort: 30_080 }

describe('ports to hold', () => {
  it('are node ports on all addresses, with endpoints and without', () => {
    const six = { ...web, clusterIP: 'fd00::1' }
    const dns = { is: 'shop/dns:dns', clusterIP: '10.96.0.2', protocol: 'UDP', nodePort: 30_053 } as const
    expect(heldOf([web, six, dns])).toEqual([
      'IPv4 TCP * 30080 nodePort shop/web:http/TCP/IPv4',
      'IPv6 TCP * 30080 nodePort shop/web:http/TCP/IPv6',
      'IPv4 UDP * 30053 nodePort shop/dns:dns/UDP/IPv4',
    ])
  })

  it('are node ports on nodePortAddresses, where these are given', () => {
    expect(heldOf([web], { nodePortAddresses: ['192.168.55.0/24'] })).toEqual([
      'IPv4 TCP 192.168.55.10 30080 nodePort shop/web:http/TCP/IPv4',
    ])
    expect(heldOf([web], { nodePortAddresses: ['10.0.0.0/8'] })).toEqual([])
  })

  it('are external IPs of this machine, once for all that have them', () => {
    const ports = ['shop/a:http', 'shop/b:http'].map((is, index) => ({
      is,
      clusterIP: `10.96.0.${index + 1}`,
      externalIPs: ['192.168.55.10', '203.0.113.9'],
      port: 80,
    }))
    expect(heldOf(ports)).toEqual(['IPv4 TCP 192.168.55.10 80 externalIP shop/a:http/TCP/IPv4,shop/b:http/TCP/IPv4'])
  })

  it('are not of SCTP, and none of the load balancer', () => {
    expect(heldOf([{ ...web, protocol: 'SCTP', externalIPs: ['192.168.55.10'] }])).toEqual([])
    expect(heldOf([{ is: 'shop/lb:http', clusterIP: '10.96.0.3', loadBalancerVIPs: ['192.168.55.10'] }])).toEqual([])
  })

  it('are one socket where a node port of all addresses is an external IP as well', () => {
    const external = { is: 'shop/b:http', clusterIP: '10.96.0.2', externalIPs: ['192.168.55.10'], port: 30_080 }
    expect(heldOf([external, web])).toEqual(['IPv4 TCP * 30080 nodePort shop/web:http/TCP/IPv4'])
  })
})
