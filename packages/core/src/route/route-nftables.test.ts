import { describe, expect, it } from 'vitest'
import type { PortDescription } from '../testing/state-builder.js'
import { fate, type Scenario } from './test-support/scenario.js'

const node = { addresses: ['192.168.55.10', '10.0.0.10', 'fd00:55::10'] }
const nftables = { mode: 'nftables', nodePortAddresses: 'primary', localhostNodePorts: false } as const
const within =
  (scenario: Omit<Scenario, 'config'>) =>
  (mode: 'iptables' | 'nftables', packet: string, config: Scenario['config'] = {}) =>
    fate({ node, ...scenario, config: { ...(mode === 'nftables' && nftables), ...config } }, packet)

const web: PortDescription = {
  is: 'shop/web',
  clusterIP: '10.96.0.20',
  nodePort: 30080,
  externalIPs: ['203.0.113.9'],
  endpoints: ['10.244.1.5:8080@node-a'],
}
const HERE = '10.244.1.5:8080 masqueraded'
const closed = (address: string) => `no-service: node port 30080 of shop/web does not answer on ${address}`

describe('a node port in mode nftables', () => {
  const of = within({ ports: [web] })

  it('answers on the primary address of the node, and never on loopback', () => {
    expect(of('nftables', 'tcp outside -> 192.168.55.10:30080')).toBe(HERE)
    expect(of('nftables', 'tcp outside -> 10.0.0.10:30080')).toBe(closed('10.0.0.10'))
    expect(of('nftables', 'tcp node -> 127.0.0.1:30080')).toBe(closed('127.0.0.1'))
    expect(of('iptables', 'tcp node -> 127.0.0.1:30080')).toBe(HERE)
  })

  it('does not answer on loopback where nodePortAddresses and localhostNodePorts ask for it', () => {
    const asks = { localhostNodePorts: true } as const
    for (const nodePortAddresses of ['all', ['127.0.0.0/8', '10.0.0.0/24'], ['0.0.0.0/0']] as const) {
      expect(of('nftables', 'tcp node -> 127.0.0.1:30080', { ...asks, nodePortAddresses })).toBe(closed('127.0.0.1'))
      expect(of('nftables', 'tcp outside -> 10.0.0.10:30080', { ...asks, nodePortAddresses })).toBe(HERE)
    }
  })

  it('without endpoints rejects where it would answer, and nowhere else', () => {
    const empty = within({ ports: [{ ...web, endpoints: [] }] })
    expect(empty('nftables', 'tcp outside -> 192.168.55.10:30080')).toBe('rejected: shop/web has no endpoints')
    expect(empty('nftables', 'tcp outside -> 10.0.0.10:30080')).toBe(closed('10.0.0.10'))
    expect(empty('iptables', 'tcp outside -> 10.0.0.10:30080', { nodePortAddresses: 'primary' })).toBe(
      'rejected: shop/web has no endpoints',
    )
  })
})

describe('a cluster IP in mode nftables', () => {
  const of = within({ ports: [web], serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'] })
  const unused = 'shop/web at 10.96.0.20 has no port 81 of TCP'

  it('rejects ports that its Service does not have, for what the node forwards or sends', () => {
    for (const from of ['10.244.1.7', 'outside', 'node']) {
      expect(of('nftables', `tcp ${from} -> 10.96.0.20:81`)).toBe(
        `rejected: ${unused}, and unused ports of cluster IPs are rejected`,
      )
      expect(of('iptables', `tcp ${from} -> 10.96.0.20:81`)).toBe(`no-service: ${unused}`)
    }
    expect(of('nftables', 'udp outside -> 10.96.0.20:80')).toMatch(/^rejected: .* no port 80 of UDP/)
    expect(of('nftables', 'tcp outside -> 203.0.113.9:81')).toMatch(/^no-service: /)
  })

  it("that is nobody's is dropped within the ServiceCIDRs, and goes on where none are known", () => {
    expect(of('nftables', 'tcp 10.244.1.7 -> 10.97.1.1:80')).toBe(
      'dropped: no Service has 10.97.1.1, which lies in the ServiceCIDR 10.96.0.0/12',
    )
    expect(of('nftables', 'tcp node -> [fd00:10:96::9]:80')).toMatch(/^dropped: .*fd00:10:96::\/112$/)
    expect(of('iptables', 'tcp node -> 10.97.1.1:80')).toBe('no-service: no Service has 10.97.1.1')
    expect(within({ ports: [web] })('nftables', 'tcp node -> 10.97.1.1:80')).toBe(
      'no-service: no Service has 10.97.1.1',
    )
  })

  it('is masqueraded as in mode iptables, but for what comes back to its own sender on another node', () => {
    const remote = within({ ports: [{ ...web, endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b'] }] })
    expect(remote('iptables', 'tcp 10.244.2.6 -> 10.96.0.20:80')).toBe(
      '10.244.1.5:8080 1/2, 10.244.2.6:8080 1/2 masqueraded',
    )
    expect(remote('nftables', 'tcp 10.244.2.6 -> 10.96.0.20:80')).toBe('10.244.1.5:8080 1/2, 10.244.2.6:8080 1/2')
    expect(remote('nftables', 'tcp 10.244.1.5 -> 10.96.0.20:80')).toBe(
      '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2',
    )
    expect(remote('nftables', 'tcp 10.244.1.7 -> 10.96.0.20:80', { masqueradeAll: true })).toBe(
      '10.244.1.5:8080 1/2 masqueraded, 10.244.2.6:8080 1/2 masqueraded',
    )
  })
})

describe('an external address in mode nftables', () => {
  it('without endpoints rejects the packets of the node as well', () => {
    const of = within({ ports: [{ ...web, endpoints: [] }] })
    expect(of('nftables', 'tcp node -> 203.0.113.9:80')).toBe('rejected: shop/web has no endpoints')
    expect(of('iptables', 'tcp node -> 203.0.113.9:80')).toMatch(/^no-service: .* goes out unchanged$/)
  })

  const lb: PortDescription = {
    is: 'shop/lb',
    clusterIP: '10.96.0.30',
    loadBalancerVIPs: ['198.51.100.20'],
    loadBalancerSourceRanges: ['203.0.113.0/25', '192.168.55.0/24'],
    endpoints: ['10.244.1.5:8080@node-a'],
  }
  const refused = (source: string) => `dropped: ${source} is not in the source ranges of shop/lb`

  it('asks source ranges before anything is translated, also where there are no endpoints', () => {
    const of = within({ ports: [lb] })
    const empty = within({ ports: [{ ...lb, endpoints: [] }] })
    for (const mode of ['iptables', 'nftables'] as const) {
      expect(of(mode, 'tcp 203.0.113.9 -> 198.51.100.20:80')).toBe(HERE)
      expect(of(mode, 'tcp 203.0.113.200 -> 198.51.100.20:80')).toBe(refused('203.0.113.200'))
      // The node is let in, and with it the VIP, from which it may send.
      expect(of(mode, 'tcp 198.51.100.20 -> 198.51.100.20:80')).toBe(HERE)
      expect(empty(mode, 'tcp 203.0.113.9 -> 198.51.100.20:80')).toBe('rejected: shop/lb has no endpoints')
    }
    expect(empty('iptables', 'tcp 203.0.113.200 -> 198.51.100.20:80')).toBe('rejected: shop/lb has no endpoints')
    expect(empty('nftables', 'tcp 203.0.113.200 -> 198.51.100.20:80')).toBe(refused('203.0.113.200'))
  })

  it('keeps out a source that a cluster IP at the same address would take', () => {
    const of = within({ ports: [lb, { ...web, clusterIP: '198.51.100.20', nodePort: 0 }] })
    expect(of('nftables', 'tcp 203.0.113.200 -> 198.51.100.20:80')).toBe(refused('203.0.113.200'))
  })

  it('with policy Local and no endpoints here drops what is let in', () => {
    const of = within({
      ports: [{ ...lb, externalTrafficPolicy: 'Local', endpoints: ['10.244.2.6:8080@node-b'] }],
    })
    expect(of('nftables', 'tcp 203.0.113.9 -> 198.51.100.20:80')).toMatch(/^dropped: shop\/lb has no endpoints on/)
    expect(of('nftables', 'tcp node -> 198.51.100.20:80')).toBe('10.244.2.6:8080 masqueraded')
  })
})
