import { describe, expect, it } from 'vitest'
import type { ProxyConfig } from '@pointsman/core'
import { rulesOf, type Scenario } from '../test-support/scenario.js'

const HERE = '10.244.1.5:8080@node-a'
const ELSEWHERE = '10.244.2.6:8080@node-b'
const CART = { is: 'shop/cart', clusterIP: '10.96.0.30', nodePort: 30080, endpoints: [HERE] }

describe('a node port', () => {
  const rules = (scenario: Scenario): readonly string[] => rulesOf(scenario, /--dport 30080 /)

  it('leads to KUBE-EXT-, by whatever address', () => {
    expect(rules({ ports: [CART] })).toEqual([
      'nat KUBE-NODEPORTS -p tcp -m comment --comment "shop/cart" -m tcp --dport 30080 -j KUBE-EXT-(shop/cart)',
    ])
  })

  it.each(['TCP', 'UDP', 'SCTP'] as const)('is of one protocol: %s', (protocol) => {
    const small = protocol.toLowerCase()
    expect(rules({ ports: [{ ...CART, protocol }] })).toEqual([
      `nat KUBE-NODEPORTS -p ${small} -m comment --comment "shop/cart" -m ${small} --dport 30080 -j KUBE-EXT-(shop/cart)`,
    ])
  })

  it('is refused at once without endpoints, on the addresses of the node alone', () => {
    expect(rules({ ports: [{ ...CART, endpoints: [] }] })).toEqual([
      'filter KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "shop/cart has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  it('of policy Local without endpoints here serves pods and the node, and drops the rest', () => {
    expect(rules({ ports: [{ ...CART, externalTrafficPolicy: 'Local', endpoints: [ELSEWHERE] }] })).toEqual([
      'filter KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "shop/cart has no local endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP',
      'nat KUBE-NODEPORTS -p tcp -m comment --comment "shop/cart" -m tcp --dport 30080 -j KUBE-EXT-(shop/cart)',
    ])
  })

  it('counts what uses it on localhost, where counters are asked for', () => {
    expect(rules({ ports: [CART], options: { nfacct: true } })).toEqual([
      'nat KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment "shop/cart" -m tcp --dport 30080 -m nfacct --nfacct-name  localhost_nps_accepted_pkts -j KUBE-EXT-(shop/cart)',
      'nat KUBE-NODEPORTS -p tcp -m comment --comment "shop/cart" -m tcp --dport 30080 -j KUBE-EXT-(shop/cart)',
    ])
  })

  it.each<readonly [string, Scenario]>([
    [
      'in IPv6',
      { ports: [{ ...CART, clusterIP: 'fd00::1', endpoints: ['[fd00::2]:80'] }], options: { family: 'IPv6' } },
    ],
    ['where localhost has no node ports', { ports: [CART], config: { localhostNodePorts: false } }],
    [
      'where nodePortAddresses leave localhost out',
      { ports: [CART], config: { nodePortAddresses: ['192.168.0.0/16'] } },
    ],
  ])('counts nothing %s', (_, scenario) => {
    expect(rules({ ...scenario, options: { ...scenario.options, nfacct: true } })).toHaveLength(1)
  })
})

describe('the health-check node port', () => {
  const accepted = (scenario: Scenario): readonly string[] => rulesOf(scenario, /^filter KUBE-NODEPORTS/)
  const expected =
    'filter KUBE-NODEPORTS -p tcp -m comment --comment "shop/cart health check node port" -m tcp --dport 31000 -j ACCEPT'

  it.each([
    ['with endpoints here', [HERE]],
    ['with endpoints elsewhere', [ELSEWHERE]],
    ['without endpoints', []],
  ])('is let in %s', (_, endpoints) => {
    const port = { ...CART, externalTrafficPolicy: 'Local' as const, healthCheckNodePort: 31000, endpoints }
    expect(accepted({ ports: [port] })).toEqual([expected])
  })

  it('is TCP whatever the service is', () => {
    expect(accepted({ ports: [{ ...CART, protocol: 'UDP', healthCheckNodePort: 31000 }] })).toEqual([expected])
  })

  it('is let in once for each port of the service, as by kube-proxy', () => {
    const ports = ['shop/cart:a', 'shop/cart:b'].map((is) => ({ ...CART, is, healthCheckNodePort: 31000 }))
    expect(accepted({ ports })).toHaveLength(2)
  })
})

describe('where node ports answer', () => {
  type Settings = Partial<Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp' | 'localhostNodePorts'>>
  const ends = (config: Settings, more: Omit<Scenario, 'config'> = {}): readonly string[] =>
    rulesOf({ config, ...more }, /^nat KUBE-SERVICES .*must be the last/).map((rule) =>
      rule.replace(/^nat KUBE-SERVICES | ?-m comment --comment "[^"]*"| -j KUBE-NODEPORTS$/g, ''),
    )
  const v6 = { options: { family: 'IPv6' } } as const
  const guards = (config: Settings, more: Omit<Scenario, 'config'> = {}): readonly string[] =>
    rulesOf({ config, ...more }, /^filter KUBE-FIREWALL /)

  it('on all addresses of the node, localhost included in IPv4', () => {
    expect(ends({})).toEqual([' -m addrtype --dst-type LOCAL'])
    expect(ends({}, v6)).toEqual(['! -d ::1/128 -m addrtype --dst-type LOCAL'])
  })

  it('not on localhost when that is switched off', () => {
    expect(ends({ localhostNodePorts: false })).toEqual(['! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL'])
  })

  it('on the addresses of the node that lie in nodePortAddresses, sorted', () => {
    const node = { addresses: ['192.168.55.10', '192.168.55.1', '10.0.0.5', 'fd00:55::10'] }
    const config = { nodePortAddresses: ['192.168.55.0/24', 'fd00:55::/64'] }
    expect(ends(config, { node })).toEqual(['-d 192.168.55.1/32', '-d 192.168.55.10/32'])
    expect(ends(config, { node, ...v6 })).toEqual(['-d fd00:55::10/128'])
  })

  it('on what its interfaces bear, where that was looked at', () => {
    const options = { interfaceAddresses: ['127.0.0.1', '192.168.55.77', '192.168.55.77', 'fe80::1'] }
    expect(ends({ nodePortAddresses: ['192.168.0.0/16'] }, { options })).toEqual(['-d 192.168.55.77/32'])
  })

  it('on all of a family that nodePortAddresses leave out, or hold whole', () => {
    expect(ends({ nodePortAddresses: ['192.168.55.0/24'] }, v6)).toEqual(['! -d ::1/128 -m addrtype --dst-type LOCAL'])
    expect(ends({ nodePortAddresses: ['0.0.0.0/0', '10.0.0.0/8'] })).toEqual([' -m addrtype --dst-type LOCAL'])
  })

  it('on the node IP with `primary`, and on all addresses of a family without one', () => {
    const node = { addresses: ['192.168.55.10', '192.168.55.11'] }
    expect(ends({ nodePortAddresses: 'primary' }, { node })).toEqual(['-d 192.168.55.10/32'])
    expect(ends({ nodePortAddresses: 'primary' }, { node, ...v6 })).toEqual([
      '! -d ::1/128 -m addrtype --dst-type LOCAL',
    ])
    expect(ends({ nodePortAddresses: 'primary' }, { node: 'unknown' })).toEqual([' -m addrtype --dst-type LOCAL'])
    expect(ends({ nodePortAddresses: 'primary', nodeIp: '192.168.55.11' }, { node })).toEqual(['-d 192.168.55.11/32'])
  })

  it('on localhost where nodePortAddresses name it, in IPv4 alone', () => {
    const config = { nodePortAddresses: ['127.0.0.0/8', '::1/128'] }
    expect(ends(config)).toEqual(['-d 127.0.0.1/32'])
    expect(ends({ ...config, localhostNodePorts: false })).toEqual([])
    expect(ends(config, v6)).toEqual([])
  })

  it.each<readonly [string, Settings, number]>([
    ['anywhere', {}, 1],
    ['not on localhost', { localhostNodePorts: false }, 0],
    ['on other addresses', { nodePortAddresses: ['192.168.0.0/16'] }, 0],
    ['on localhost', { nodePortAddresses: ['127.0.0.0/8'] }, 1],
    ['on one address of localhost', { nodePortAddresses: ['127.0.0.1/32'] }, 1],
    ['on a network that holds localhost', { nodePortAddresses: ['126.0.0.0/7'] }, 1],
    ['on a part of localhost', { nodePortAddresses: ['127.1.0.0/16'] }, 1],
  ])('%s: whether neighbours are kept from localhost', (_, config, expected) => {
    expect(guards(config)).toHaveLength(expected)
    expect(guards(config, v6)).toEqual([])
  })

  it('and neighbours are kept from localhost by the rule that kubelet writes as well', () => {
    expect(guards({})).toEqual([
      'filter KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    ])
  })
})
