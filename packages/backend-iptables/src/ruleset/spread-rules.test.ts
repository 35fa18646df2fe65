import { describe, expect, it } from 'vitest'
import { rulesOf, type Scenario } from '../test-support/scenario.js'

const CART = { is: 'shop/cart', clusterIP: '10.96.0.30' }
const many = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `10.244.1.${index + 1}:8080@node-b`)

/** What follows the comment of the rules that lead to endpoints. */
const ways = (scenario: Scenario, chain = 'SVC'): readonly string[] =>
  rulesOf(scenario, new RegExp(`^nat KUBE-${chain}-.*-j KUBE-SEP`)).map((rule) => rule.replace(/^.*" (?=-)/, ''))

describe('the choice among endpoints', () => {
  it('gives each the same share of what is left', () => {
    expect(ways({ ports: [{ ...CART, endpoints: many(4) }] })).toEqual([
      '-m statistic --mode random --probability 0.25000000000 -j KUBE-SEP-(shop/cart 10.244.1.1:8080)',
      '-m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-(shop/cart 10.244.1.2:8080)',
      '-m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-(shop/cart 10.244.1.3:8080)',
      '-j KUBE-SEP-(shop/cart 10.244.1.4:8080)',
    ])
  })

  it.each([
    [6, '0.16666666651'],
    [7, '0.14285714272'],
    [13, '0.07692307699'],
    [101, '0.00990098994'],
    [250, '0.00400000019'],
  ])('keeps of one in %i what kube-proxy and the kernel keep', (count, expected) => {
    const [first] = ways({ ports: [{ ...CART, endpoints: many(count) }] })
    expect(first).toContain(`--probability ${expected} `)
  })

  it('asks for nothing where there is one', () => {
    expect(ways({ ports: [{ ...CART, endpoints: many(1) }] })).toEqual(['-j KUBE-SEP-(shop/cart 10.244.1.1:8080)'])
  })
})

describe('session affinity', () => {
  const sticky = { ...CART, affinitySeconds: 180, endpoints: ['10.244.1.1:8080@node-a', '10.244.1.2:8080@node-b'] }

  it('asks for remembered clients before it chooses, and each endpoint remembers its own', () => {
    expect(ways({ ports: [sticky] }).map((rule) => rule.replace(/--name KUBE-SEP-\S+ \S+/, '--name X'))).toEqual([
      '-m recent --rcheck --seconds 180 --reap --name X --mask 255.255.255.255 --rsource -j KUBE-SEP-(shop/cart 10.244.1.1:8080)',
      '-m recent --rcheck --seconds 180 --reap --name X --mask 255.255.255.255 --rsource -j KUBE-SEP-(shop/cart 10.244.1.2:8080)',
      '-m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-(shop/cart 10.244.1.1:8080)',
      '-j KUBE-SEP-(shop/cart 10.244.1.2:8080)',
    ])
    expect(rulesOf({ ports: [sticky] }, /SEP.*DNAT/)[0]).toBe(
      'nat KUBE-SEP-(shop/cart 10.244.1.1:8080) -p tcp -m comment --comment "shop/cart" -m recent --set --name KUBE-SEP-(shop/cart 10.244.1.1:8080) --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.1.1:8080',
    )
  })

  it("uses one list for an endpoint's two policies", () => {
    const ports = [{ ...sticky, nodePort: 30080, externalTrafficPolicy: 'Local' as const }]
    const lists = rulesOf({ ports }, /recent/).map((rule) => /--name (\S+ \S+)/.exec(rule)?.[1])
    expect(lists.filter((list) => list?.includes('10.244.1.1'))).toHaveLength(3)
    expect(new Set(lists).size).toBe(2)
  })

  it('looks at the whole address in IPv6', () => {
    const ports = [{ ...sticky, clusterIP: 'fd00:10:96::30', endpoints: ['[fd00:10:244:1::1]:80'] }]
    const rules = rulesOf({ ports, options: { family: 'IPv6' } }, /recent/)
    expect(rules).toHaveLength(2)
    for (const rule of rules) expect(rule).toContain('--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource')
  })
})

describe('which endpoints are chosen from', () => {
  const at = (chosen: readonly string[]): readonly (string | undefined)[] =>
    chosen.map((rule) => /-j KUBE-SEP-\(shop\/cart (\S+)\)/.exec(rule)?.[1])
  const external = { nodePort: 30080, externalTrafficPolicy: 'Local' as const }

  it('ready ones, not those that are not', () => {
    const endpoints = ['10.244.1.1:80', { at: '10.244.1.2:80', ready: false }]
    expect(at(ways({ ports: [{ ...CART, endpoints }] }))).toEqual(['10.244.1.1:80'])
  })

  it('terminating ones that serve where none is ready, judged apart for each policy', () => {
    const terminating = { ready: false, terminating: true }
    const endpoints = [
      { at: '10.244.1.1:80@node-a', ...terminating },
      { at: '10.244.1.2:80@node-a', ...terminating, serving: false },
      '10.244.2.3:80@node-b',
    ]
    const scenario = { ports: [{ ...CART, ...external, endpoints }] }
    expect(at(ways(scenario))).toEqual(['10.244.2.3:80'])
    expect(at(ways(scenario, 'SVL'))).toEqual(['10.244.1.1:80'])
    // The chain of each that either policy uses, once.
    expect(rulesOf(scenario, /SEP.*DNAT/)).toHaveLength(2)
  })

  it('those that the hints give to this zone, and not for policy Local', () => {
    const endpoints = [
      { at: '10.244.1.1:80@node-a', zoneHints: ['zone-b'] },
      { at: '10.244.1.2:80@node-a', zoneHints: ['zone-a'] },
      { at: '10.244.2.3:80@node-b', zoneHints: ['zone-a'] },
    ]
    const scenario = { ports: [{ ...CART, ...external, endpoints }] }
    expect(at(ways(scenario))).toEqual(['10.244.1.2:80', '10.244.2.3:80'])
    expect(at(ways(scenario, 'SVL'))).toEqual(['10.244.1.1:80', '10.244.1.2:80'])
    expect(rulesOf(scenario, /SEP.*DNAT/)).toHaveLength(3)
  })

  it('those that the hints give to this node, before its zone', () => {
    const hinted = (node: string) => ({ nodeHints: [node], zoneHints: ['zone-a'] })
    const endpoints = [
      { at: '10.244.1.1:80@node-a', ...hinted('node-a') },
      { at: '10.244.2.2:80@node-b', ...hinted('node-b') },
    ]
    expect(at(ways({ ports: [{ ...CART, endpoints }] }))).toEqual(['10.244.1.1:80'])
  })
})

describe('an endpoint', () => {
  it('is written in the way of the kernel, and named and hashed in that of Kubernetes', () => {
    const ports = [{ ...CART, clusterIP: 'fd00:10:96::30', endpoints: ['[::a00:1]:80'] }]
    expect(rulesOf({ ports, options: { family: 'IPv6' } }, /SEP/)).toEqual([
      'nat KUBE-SEP-(shop/cart [::a00:1]:80) -s ::10.0.0.1/128 -m comment --comment "shop/cart" -j KUBE-MARK-MASQ',
      'nat KUBE-SEP-(shop/cart [::a00:1]:80) -p tcp -m comment --comment "shop/cart" -m tcp -j DNAT --to-destination [::10.0.0.1]:80',
      expect.stringContaining('--comment "shop/cart -> [::a00:1]:80" -j KUBE-SEP-(shop/cart [::a00:1]:80)'),
    ])
  })
})

describe('in a large cluster', () => {
  const large = (count: number): Scenario => ({
    ports: [
      { ...CART, endpoints: ['10.244.9.9:80'] },
      {
        is: 'shop/big',
        clusterIP: '10.96.0.31',
        endpoints: Array.from({ length: count }, (_, index) => ({
          at: `10.245.${index >> 8}.${index & 255}:80`,
          ready: index === 0,
        })),
      },
    ],
  })

  it.each([
    ['of 1000 endpoints, comments are there', 999, 3],
    ['of 1001, ready or not, those of endpoints are left out', 1000, 0],
  ])('%s', (_, count, expected) => {
    expect(rulesOf(large(count), CART_ENDPOINT_COMMENTS)).toHaveLength(expected)
  })

  it('the other comments stay', () => {
    expect(rulesOf(large(1000), /cart cluster IP/)).toHaveLength(2)
  })

  it('they can be kept', () => {
    expect(rulesOf({ ...large(1000), options: { keepComments: true } }, CART_ENDPOINT_COMMENTS)).toHaveLength(3)
  })

  it('the endpoints of the other family do not count', () => {
    const scenario = large(1000)
    const ports = [...(scenario.ports ?? []), { ...CART, clusterIP: 'fd00:10:96::30', endpoints: ['[fd00::1]:80'] }]
    expect(rulesOf({ ports, options: { family: 'IPv6' } }, /(?:SEP|SVC).*--comment/)).toHaveLength(4)
  })
})

const CART_ENDPOINT_COMMENTS = /SEP-\(shop\/cart.*--comment|SVC-\(shop\/cart.*--comment.*-j KUBE-SEP/
