import { describe, expect, it } from 'vitest'
import type { PortDescription } from '@pointsman/core/testing'
import { rulesOf, type Scenario, textOf } from '../test-support/scenario.js'

const HERE = '10.244.1.5:8080@node-a'
const ELSEWHERE = '10.244.2.6:8080@node-b'
const CART = { is: 'shop/cart', clusterIP: '10.96.0.30' } as const

const scenario = (port: PortDescription, more: Scenario = {}): Scenario => ({
  ...more,
  ports: [port],
  config: { ...more.config, layout: 'classic' },
})

/** The rules of chains whose names fit, without comments and without the way in of the cluster IP. */
const rules = (port: PortDescription, chains: RegExp, more: Scenario = {}): readonly string[] =>
  rulesOf(scenario(port, more))
    .filter((rule) => chains.test(rule.split(' ')[1] ?? '') && !rule.includes('NOTE: this must be the last'))
    .filter((rule) => !rule.includes(' cluster IP"'))
    .map((rule) => rule.replace(/ -m comment --comment (?:"[^"]*"|\S+)/, '').replace(/^\S+ /, ''))

describe('what no recording of kube-proxy 1.20 shows', () => {
  it('each address of a load balancer adds the rules of KUBE-FW- once more', () => {
    const port = { ...CART, loadBalancerVIPs: ['198.51.100.7', '198.51.100.8'], endpoints: [HERE] }
    expect(rules(port, /^KUBE-FW-/)).toEqual([
      'KUBE-FW-(shop/cart) -j KUBE-MARK-MASQ',
      'KUBE-FW-(shop/cart) -j KUBE-SVC-(shop/cart)',
      'KUBE-FW-(shop/cart) -j KUBE-MARK-DROP',
      'KUBE-FW-(shop/cart) -j KUBE-MARK-MASQ',
      'KUBE-FW-(shop/cart) -j KUBE-SVC-(shop/cart)',
      'KUBE-FW-(shop/cart) -j KUBE-MARK-DROP',
    ])
  })

  it('a source range of all addresses is a rule without a source, and the others stay', () => {
    const port = {
      ...CART,
      loadBalancerVIPs: ['198.51.100.7'],
      voidSourceRanges: ['0.0.0.0/0', '203.0.113.0/24'],
      endpoints: [HERE],
    }
    expect(rules(port, /^KUBE-FW-/)).toEqual([
      'KUBE-FW-(shop/cart) -j KUBE-MARK-MASQ',
      'KUBE-FW-(shop/cart) -j KUBE-SVC-(shop/cart)',
      'KUBE-FW-(shop/cart) -s 203.0.113.0/24 -j KUBE-SVC-(shop/cart)',
      'KUBE-FW-(shop/cart) -s 198.51.100.7/32 -j KUBE-SVC-(shop/cart)',
      'KUBE-FW-(shop/cart) -j KUBE-MARK-DROP',
    ])
  })

  it('an external IP of policy Local leads to KUBE-XLB- unmasqueraded, which needs a node port or a load balancer', () => {
    const local = { ...CART, externalIPs: ['203.0.113.9'], externalTrafficPolicy: 'Local', endpoints: [HERE] } as const
    const to = '-d 203.0.113.9/32 -p tcp -m tcp --dport 80'
    expect(rules({ ...local, nodePort: 30080 }, /^KUBE-SERVICES$/)).toEqual([
      `KUBE-SERVICES ${to} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j KUBE-XLB-(shop/cart)`,
      `KUBE-SERVICES ${to} -m addrtype --dst-type LOCAL -j KUBE-XLB-(shop/cart)`,
    ])
    expect(rules(local, /^KUBE-SERVICES$/)[0]).toBe(`KUBE-SERVICES ${to} -j KUBE-MARK-MASQ`)
  })

  it('without endpoints everything is rejected, and KUBE-XLB- of policy Local is there and empty', () => {
    const port = {
      ...CART,
      externalTrafficPolicy: 'Local',
      nodePort: 30080,
      externalIPs: ['203.0.113.9'],
      loadBalancerVIPs: ['198.51.100.7'],
    } as const
    const reject = '-j REJECT --reject-with icmp-port-unreachable'
    expect(rules(port, /./)).toEqual([
      `KUBE-EXTERNAL-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 ${reject}`,
      `KUBE-EXTERNAL-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 ${reject}`,
      `KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 30080 ${reject}`,
      `KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m tcp --dport 80 ${reject}`,
      'KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000',
    ])
    expect(textOf(scenario(port))).toMatch(/^:KUBE-XLB-/m)
  })

  it('clients are remembered in KUBE-XLB- as in KUBE-SVC-, by the lists of the same endpoints', () => {
    const port = {
      ...CART,
      protocol: 'UDP',
      affinitySeconds: 600,
      externalTrafficPolicy: 'Local',
      nodePort: 30080,
      endpoints: [HERE, ELSEWHERE],
    } as const
    const spread = rulesOf(scenario(port), /KUBE-XLB-\S+ .*KUBE-SEP-/)
    expect(spread.map((rule) => rule.replaceAll(/KUBE-SEP-[A-Z2-7]{16}/g, 'LIST'))).toEqual([
      'nat KUBE-XLB-(shop/cart) -m comment --comment "shop/cart" -m recent --rcheck --seconds 600 --reap --name KUBE-SEP-(shop/cart 10.244.1.5:8080) --mask 255.255.255.255 --rsource -j KUBE-SEP-(shop/cart 10.244.1.5:8080)',
      'nat KUBE-XLB-(shop/cart) -m comment --comment "Balancing rule 0 for shop/cart" -j KUBE-SEP-(shop/cart 10.244.1.5:8080)',
    ])
  })

  it('knows neither internal traffic policy, hints, terminating endpoints nor ipMode', () => {
    const old = { ...CART, nodePort: 30080, loadBalancerVIPs: ['198.51.100.7'], endpoints: [ELSEWHERE] }
    const later = {
      ...old,
      internalTrafficPolicy: 'Local',
      healthCheckNodePort: 31000,
      loadBalancerVIPs: [],
      loadBalancerProxyIPs: ['198.51.100.7'],
      endpoints: [ELSEWHERE, { at: '10.244.1.9:8080@node-a', ready: false, terminating: true }],
    } as const
    expect(rulesOf(scenario(later))).toEqual(rulesOf(scenario(old)))
  })

  it('node ports are always on loopback in both families, and last in KUBE-SERVICES', () => {
    const config = { localhostNodePorts: false }
    const last = (family: 'IPv4' | 'IPv6', nodePortAddresses: 'all' | readonly string[]): readonly string[] =>
      textOf({ config: { ...config, layout: 'classic', nodePortAddresses }, options: { family }, node: {} })
        .split('\n')
        .filter((line) => line.endsWith('-j KUBE-NODEPORTS'))
        .map((line) => line.replace(/ -m comment --comment "[^"]*"/, ''))
    expect(last('IPv4', 'all')).toEqual(['-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'])
    expect(last('IPv6', 'all')).toEqual(['-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'])
    expect(last('IPv4', ['127.0.0.0/8'])).toEqual(['-A KUBE-SERVICES -d 127.0.0.1/32 -j KUBE-NODEPORTS'])
  })

  it('the mark of what is to be dropped gives way to that for masquerading', () => {
    const text = textOf({ config: { layout: 'classic', masqueradeBit: 15 } })
    expect(text).toContain('-A KUBE-MARK-MASQ -j MARK --set-xmark 0x8000/0x8000\n')
    expect(text).toContain('-A KUBE-MARK-DROP -j MARK --set-xmark 0x4000/0x4000\n')
    expect(text).toMatch(/^-A KUBE-FIREWALL .* --mark 0x4000\/0x4000 -j DROP$/m)
  })
})

describe('an external IP of the node whose port another process has', () => {
  const unheldExternalIPs = [
    { family: 'IPv4', protocol: 'TCP', address: '203.0.113.9', port: 80, type: 'externalIP', owners: [] },
  ] as const
  const options = { unheldExternalIPs }

  it('has no rules, not even without endpoints, and all others have theirs', () => {
    const port = { ...CART, port: 80, externalIPs: ['203.0.113.9', '203.0.113.10'], nodePort: 30080 }
    const [withEndpoints, without] = [[HERE], []].map((endpoints) =>
      rulesOf({ ...scenario({ ...port, endpoints }), options }).filter((rule) => /203\.0\.113|30080/.test(rule)),
    )
    expect(withEndpoints?.filter((rule) => rule.includes('203.0.113.9/'))).toEqual([])
    expect(withEndpoints?.filter((rule) => rule.includes('203.0.113.10/'))).toHaveLength(3)
    expect(without).toHaveLength(2)
    expect(without?.join()).not.toContain('203.0.113.9/')
  })

  it('has them of another protocol, and in layout current', () => {
    const port = { ...CART, port: 80, externalIPs: ['203.0.113.9'], endpoints: [HERE] }
    const of = (one: Scenario): number => rulesOf({ ...one, options }).filter((rule) => /203\.0\.113/.test(rule)).length
    expect(of(scenario({ ...port, protocol: 'UDP' }))).toBe(3)
    expect(of({ ports: [port] })).toBe(1)
  })
})
