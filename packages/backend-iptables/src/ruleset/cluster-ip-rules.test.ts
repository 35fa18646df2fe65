import { describe, expect, it } from 'vitest'
import type { DetectLocal } from '@pointsman/core'
import { rulesOf, type Scenario } from '../test-support/scenario.js'

const CART = { is: 'shop/cart:http', clusterIP: '10.96.0.30', endpoints: ['10.244.1.5:8080@node-a'] }
const CART_V6 = { is: 'shop/cart:http', clusterIP: 'fd00:10:96::30', endpoints: ['[fd00:10:244:1::5]:8080@node-a'] }

describe('a cluster IP', () => {
  it('leads to the endpoints, and nothing else is written', () => {
    expect(rulesOf({ ports: [CART] })).toEqual([
      'nat KUBE-SEP-(shop/cart:http 10.244.1.5:8080) -s 10.244.1.5/32 -m comment --comment "shop/cart:http" -j KUBE-MARK-MASQ',
      'nat KUBE-SEP-(shop/cart:http 10.244.1.5:8080) -p tcp -m comment --comment "shop/cart:http" -m tcp -j DNAT --to-destination 10.244.1.5:8080',
      'nat KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-(shop/cart:http)',
      LAST,
      'nat KUBE-SVC-(shop/cart:http) ! -s 10.244.0.0/16 -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
      'nat KUBE-SVC-(shop/cart:http) -m comment --comment "shop/cart:http -> 10.244.1.5:8080" -j KUBE-SEP-(shop/cart:http 10.244.1.5:8080)',
    ])
  })

  it('leads to the endpoints in IPv6 as well', () => {
    expect(rulesOf({ ports: [CART_V6], options: { family: 'IPv6' } })).toEqual([
      'nat KUBE-SEP-(shop/cart:http [fd00:10:244:1::5]:8080) -s fd00:10:244:1::5/128 -m comment --comment "shop/cart:http" -j KUBE-MARK-MASQ',
      'nat KUBE-SEP-(shop/cart:http [fd00:10:244:1::5]:8080) -p tcp -m comment --comment "shop/cart:http" -m tcp -j DNAT --to-destination [fd00:10:244:1::5]:8080',
      'nat KUBE-SERVICES -d fd00:10:96::30/128 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-(shop/cart:http)',
      'nat KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
      'nat KUBE-SVC-(shop/cart:http) ! -s fd00:10:244::/48 -d fd00:10:96::30/128 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
      'nat KUBE-SVC-(shop/cart:http) -m comment --comment "shop/cart:http -> [fd00:10:244:1::5]:8080" -j KUBE-SEP-(shop/cart:http [fd00:10:244:1::5]:8080)',
    ])
  })

  it('of one family has no rules in the other', () => {
    expect(rulesOf({ ports: [CART], options: { family: 'IPv6' } })).toHaveLength(1)
  })

  it('is refused at once without endpoints, with an error that its family has', () => {
    expect(rulesOf({ ports: [{ ...CART, endpoints: [] }] }, /cart/)).toEqual([
      'filter KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
    expect(rulesOf({ ports: [{ ...CART_V6, endpoints: [] }], options: { family: 'IPv6' } }, /cart/)).toEqual([
      'filter KUBE-SERVICES -d fd00:10:96::30/128 -p tcp -m comment --comment "shop/cart:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp6-port-unreachable',
    ])
  })

  it.each(['TCP', 'UDP', 'SCTP'] as const)('serves %s', (protocol) => {
    const small = protocol.toLowerCase()
    const rules = rulesOf({ ports: [{ ...CART, protocol, port: 53 }] }, /cart/)
    expect(rules.filter((rule) => rule.includes(`-p ${small} `) && rule.includes(`-m ${small} `))).toHaveLength(3)
    expect(rules.filter((rule) => rule.includes(`-m ${small} --dport 53 `))).toHaveLength(2)
  })

  it('of an unnamed port is called by the Service alone', () => {
    expect(rulesOf({ ports: [{ ...CART, is: 'shop/cart' }] }, /KUBE-SERVICES.*cart/)).toEqual([
      'nat KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart cluster IP" -m tcp --dport 80 -j KUBE-SVC-(shop/cart)',
    ])
  })
})

describe('internalTrafficPolicy Local', () => {
  const local = { ...CART, internalTrafficPolicy: 'Local' as const }

  it('leads to endpoints on this node alone', () => {
    const ports = [{ ...local, endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b'] }]
    expect(rulesOf({ ports }, /KUBE-SERVICES.*cart|KUBE-SV/)).toEqual([
      'nat KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-SVL-(shop/cart:http)',
      'nat KUBE-SVL-(shop/cart:http) ! -s 10.244.0.0/16 -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
      'nat KUBE-SVL-(shop/cart:http) -m comment --comment "shop/cart:http -> 10.244.1.5:8080" -j KUBE-SEP-(shop/cart:http 10.244.1.5:8080)',
    ])
  })

  it('drops where the endpoints are on other nodes, and refuses where there are none', () => {
    expect(rulesOf({ ports: [{ ...local, endpoints: ['10.244.2.6:8080@node-b'] }] }, /cart/)).toEqual([
      'filter KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http has no local endpoints" -m tcp --dport 80 -j DROP',
    ])
    expect(rulesOf({ ports: [{ ...local, endpoints: [] }] }, /cart/)).toEqual([
      'filter KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/cart:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  it('has no local endpoint while the node is not known', () => {
    expect(rulesOf({ ports: [local], node: 'unknown' }, /cart.*DROP/)).toHaveLength(1)
  })
})

describe('traffic to a cluster IP that no pod of this node sends is masqueraded', () => {
  const masqueraded = (scenario: Scenario): readonly string[] =>
    rulesOf({ ports: [CART, CART_V6], ...scenario }, /SV[CL].*MARK-MASQ/).map((rule) =>
      rule.replace(/^\S+ \S+ | -m comment.*/g, ''),
    )
  const by = (detectLocal: DetectLocal, family: 'IPv4' | 'IPv6' = 'IPv4'): readonly string[] =>
    masqueraded({ config: { detectLocal }, options: { family } })

  it.each<readonly [string, DetectLocal, string]>([
    ['ClusterCIDR', { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] }, '! -s 10.244.0.0/16 -d 10.96.0.30/32 -p tcp'],
    ['NodeCIDR', { mode: 'NodeCIDR' }, '! -s 10.244.1.0/24 -d 10.96.0.30/32 -p tcp'],
    ['BridgeInterface', { mode: 'BridgeInterface', bridge: 'cbr0' }, '-d 10.96.0.30/32 ! -i cbr0 -p tcp'],
    ['InterfaceNamePrefix', { mode: 'InterfaceNamePrefix', prefix: 'cali' }, '-d 10.96.0.30/32 ! -i cali+ -p tcp'],
  ])('%s', (_, detectLocal, expected) => {
    expect(by(detectLocal)).toEqual([expected])
  })

  it.each<readonly [string, DetectLocal]>([
    ['nothing is configured', { mode: 'None' }],
    ['the cluster CIDR is of the other family', { mode: 'ClusterCIDR', cidrs: ['fd00:10:244::/48'] }],
  ])('not where %s', (_, detectLocal) => {
    expect(by(detectLocal)).toEqual([])
  })

  it("not by NodeCIDR where the Node has no CIDR of the family, or isn't known", () => {
    const config = { detectLocal: { mode: 'NodeCIDR' } } as const
    expect(masqueraded({ config, node: { podCIDRs: ['fd00:10:244:1::/64'] } })).toEqual([])
    expect(masqueraded({ config, node: 'unknown' })).toEqual([])
  })

  it('by the CIDR of its own family, in IPv6', () => {
    const cidrs = ['10.244.0.0/16', 'fd00:10:244::/48']
    expect(by({ mode: 'ClusterCIDR', cidrs }, 'IPv6')).toEqual(['! -s fd00:10:244::/48 -d fd00:10:96::30/128 -p tcp'])
    expect(by({ mode: 'NodeCIDR' }, 'IPv6')).toEqual(['! -s fd00:10:244:1::/64 -d fd00:10:96::30/128 -p tcp'])
  })

  it.each(['IPv4', 'IPv6'] as const)(
    'never where the cluster CIDR holds every address: iptables would refuse to be asked, %s',
    (family) => {
      expect(by({ mode: 'ClusterCIDR', cidrs: ['0.0.0.0/0', '::/0'] }, family)).toEqual([])
    },
  )

  it('from wherever, with masqueradeAll, also where nothing tells pods', () => {
    expect(masqueraded({ config: { masqueradeAll: true } })).toEqual(['-d 10.96.0.30/32 -p tcp'])
    expect(masqueraded({ config: { masqueradeAll: true, detectLocal: { mode: 'None' } } })).toEqual([
      '-d 10.96.0.30/32 -p tcp',
    ])
  })

  it('in the chain of the internal traffic policy alone', () => {
    const port = { ...CART, nodePort: 30080, externalTrafficPolicy: 'Local' as const }
    expect(rulesOf({ ports: [port] }, /SVL.*MARK-MASQ/)).toEqual([])
    expect(rulesOf({ ports: [port] }, /SVC.*MARK-MASQ/)).toHaveLength(1)
  })
})

const LAST =
  'nat KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
