import { describe, expect, it } from 'vitest'
import { rulesOf, type Scenario } from '../test-support/scenario.js'

const HERE = '10.244.1.5:8080@node-a'
const ELSEWHERE = '10.244.2.6:8080@node-b'
const CART = {
  is: 'shop/cart',
  clusterIP: '10.96.0.30',
  externalIPs: ['203.0.113.9'],
  loadBalancerVIPs: ['198.51.100.7'],
}

/** The rules of the shared chains for everything but the cluster IP, without their comments. */
const fronts = (scenario: Scenario): readonly string[] =>
  rulesOf(scenario, /^\S+ KUBE-(?:EXTERNAL-)?(?:SERVICES|NODEPORTS|PROXY-FIREWALL) .*cart/)
    .filter((rule) => !rule.includes('-d 10.96.0.30/32 '))
    .map((rule) => rule.replace(/ -m comment --comment (?:"[^"]*"|\S+)/, ''))

describe('external IPs and load-balancer addresses', () => {
  it('lead to KUBE-EXT-, whose name says that masquerading is decided there', () => {
    expect(fronts({ ports: [{ ...CART, endpoints: [ELSEWHERE] }] })).toEqual([
      'nat KUBE-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-(shop/cart)',
      'nat KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-(shop/cart)',
    ])
  })

  it('come in the order of the object, external IPs first, and are told apart in comments', () => {
    const addresses = {
      externalIPs: ['203.0.113.9', '203.0.113.1'],
      loadBalancerVIPs: ['198.51.100.7', '198.51.100.2'],
    }
    const rules = rulesOf({ ports: [{ ...CART, ...addresses, endpoints: [HERE] }] }, /nat KUBE-SERVICES.*cart/)
    expect(rules.map((rule) => /-d (\S+)\/32 .*"shop\/cart (.*)" /.exec(rule)?.slice(1).join(' '))).toEqual([
      '10.96.0.30 cluster IP',
      '203.0.113.9 external IP',
      '203.0.113.1 external IP',
      '198.51.100.7 loadbalancer IP',
      '198.51.100.2 loadbalancer IP',
    ])
  })

  it('are refused at once without endpoints', () => {
    expect(fronts({ ports: [CART] })).toEqual([
      'filter KUBE-EXTERNAL-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
      'filter KUBE-EXTERNAL-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  it('of policy Local without endpoints here lead there for pods and the node, and drop for the rest', () => {
    const ports = [{ ...CART, externalTrafficPolicy: 'Local' as const, endpoints: [ELSEWHERE] }]
    expect(fronts({ ports })).toEqual([
      'filter KUBE-EXTERNAL-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j DROP',
      'filter KUBE-EXTERNAL-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j DROP',
      'nat KUBE-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-(shop/cart)',
      'nat KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-(shop/cart)',
    ])
  })

  it('have no rules where the load balancer is to be gone through (ipMode Proxy)', () => {
    const ports = [
      { ...CART, externalIPs: [], loadBalancerVIPs: [], loadBalancerProxyIPs: ['198.51.100.7'], endpoints: [HERE] },
    ]
    expect(rulesOf({ ports }, /198\.51|KUBE-EXT-/)).toEqual([])
  })
})

describe('the internal and the external policy apart from each other', () => {
  it.each([
    ['Cluster', 'Cluster', [ELSEWHERE], 'SVC', 'EXT, SVC'],
    ['Cluster', 'Local', [ELSEWHERE], 'SVC', 'EXT, dropped'],
    ['Cluster', 'Local', [HERE], 'SVC', 'EXT, SVL'],
    ['Local', 'Cluster', [ELSEWHERE], 'dropped', 'EXT, SVC'],
    ['Local', 'Cluster', [HERE], 'SVL', 'EXT, SVC'],
    ['Local', 'Local', [ELSEWHERE], 'dropped', 'EXT, dropped'],
    ['Local', 'Local', [HERE], 'SVL', 'EXT, SVL'],
    ['Local', 'Local', [], 'rejected', 'rejected'],
    ['Cluster', 'Local', [], 'rejected', 'rejected'],
    ['Cluster', 'Cluster', [], 'rejected', 'rejected'],
  ] as const)(
    'internal %s, external %s, endpoints %j: %s and %s',
    (internal, external, endpoints, clusterIp, outside) => {
      const policies = { internalTrafficPolicy: internal, externalTrafficPolicy: external }
      const ports = [{ ...CART, ...policies, loadBalancerVIPs: [], endpoints }]
      const told = (address: string): string => {
        const targets = rulesOf({ ports }, new RegExp(`^\\S+ KUBE-(?:EXTERNAL-)?SERVICES -d ${address}/32`)).map(
          targetOf,
        )
        const ending = rulesOf({ ports }, /^nat KUBE-EXT-\(shop\/cart\) -j/).map(targetOf)
        return [...targets.toSorted(), ...(targets.includes('EXT') ? ending : [])]
          .toSorted((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b))
          .join(', ')
      }
      expect([told('10.96.0.30'), told('203.0.113.9')]).toEqual([clusterIp, outside])
    },
  )
})

const ORDER = ['EXT', 'SVC', 'SVL', 'dropped', 'rejected']
const targetOf = (rule: string): string => {
  const target = /-j (?:KUBE-)?([A-Z]+)/.exec(rule)?.[1] ?? ''
  return { DROP: 'dropped', REJECT: 'rejected' }[target] ?? target
}

describe('KUBE-EXT-', () => {
  const chain = (scenario: Scenario): readonly string[] =>
    rulesOf(scenario, /^nat KUBE-EXT-/).map((rule) => rule.replace('nat KUBE-EXT-(shop/cart) ', ''))
  const local = { ...CART, externalTrafficPolicy: 'Local' as const }

  it('masquerades all, because the endpoint may be on another node', () => {
    expect(chain({ ports: [{ ...CART, endpoints: [HERE] }] })).toEqual([
      '-m comment --comment "masquerade traffic for shop/cart external destinations" -j KUBE-MARK-MASQ',
      '-j KUBE-SVC-(shop/cart)',
    ])
  })

  it('keeps the source address of policy Local, but for the node itself; pods and the node use every endpoint', () => {
    expect(chain({ ports: [{ ...local, endpoints: [HERE, ELSEWHERE] }] })).toEqual([
      '-s 10.244.0.0/16 -m comment --comment "pod traffic for shop/cart external destinations" -j KUBE-SVC-(shop/cart)',
      '-m comment --comment "masquerade LOCAL traffic for shop/cart external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
      '-m comment --comment "route LOCAL traffic for shop/cart external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-(shop/cart)',
      '-j KUBE-SVL-(shop/cart)',
    ])
  })

  it('lets no pod by where nothing tells pods', () => {
    const rules = chain({ ports: [{ ...local, endpoints: [HERE] }], config: { detectLocal: { mode: 'None' } } })
    expect(rules.filter((rule) => rule.includes('pod traffic'))).toEqual([])
    expect(rules).toHaveLength(3)
  })

  it.each([
    ['-i cbr0', { mode: 'BridgeInterface', bridge: 'cbr0' }],
    ['-i cali+', { mode: 'InterfaceNamePrefix', prefix: 'cali' }],
    ['-s 10.244.1.0/24', { mode: 'NodeCIDR' }],
  ] as const)('tells pods by %s', (expected, detectLocal) => {
    const [first] = chain({ ports: [{ ...local, endpoints: [HERE] }], config: { detectLocal } })
    expect(first).toMatch(new RegExp(`^${expected.replace('+', '\\+')} -m comment --comment "pod traffic`))
  })

  it('asks for nothing where the cluster CIDR holds every address', () => {
    const config = { detectLocal: { mode: 'ClusterCIDR', cidrs: ['0.0.0.0/0'] } } as const
    const [first] = chain({ ports: [{ ...local, endpoints: [HERE] }], config })
    expect(first).toBe('-m comment --comment "pod traffic for shop/cart external destinations" -j KUBE-SVC-(shop/cart)')
  })

  it('ends without a way for others where no endpoint is here', () => {
    const rules = chain({ ports: [{ ...local, endpoints: [ELSEWHERE] }] })
    expect(rules.at(-1)).toContain('route LOCAL traffic')
  })

  it('is there in spite of masqueradeAll: that is about cluster IPs', () => {
    const scenario = { ports: [{ ...local, endpoints: [HERE] }] }
    expect(chain({ ...scenario, config: { masqueradeAll: true } })).toEqual(chain(scenario))
  })

  it('is not there where nothing leads to it', () => {
    const ports = [{ ...CART, externalIPs: [], loadBalancerVIPs: [], endpoints: [HERE] }]
    expect(rulesOf({ ports }, /KUBE-EXT-/)).toEqual([])
  })
})

describe('load-balancer source ranges', () => {
  const ranges = ['203.0.113.0/25', '10.0.0.0/8']
  const guarded = { ...CART, loadBalancerSourceRanges: ranges, endpoints: [HERE] }

  it('guard the load balancer: what they do not let in is dropped, and nothing else is guarded', () => {
    expect(fronts({ ports: [{ ...guarded, nodePort: 30080 }] })).toEqual([
      'filter KUBE-PROXY-FIREWALL -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j DROP',
      'nat KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-(shop/cart)',
      'nat KUBE-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-(shop/cart)',
      'nat KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j KUBE-FW-(shop/cart)',
    ])
    expect(rulesOf({ ports: [guarded] }, /KUBE-PROXY-FIREWALL -d/)).toEqual([
      'filter KUBE-PROXY-FIREWALL -d 198.51.100.7/32 -p tcp -m comment --comment "shop/cart traffic not accepted by KUBE-FW-(shop/cart)" -m tcp --dport 80 -j DROP',
    ])
  })

  const chain = (scenario: Scenario): readonly string[] => rulesOf(scenario, /^nat KUBE-FW-/)

  it('let their sources on to KUBE-EXT-', () => {
    expect(chain({ ports: [guarded] })).toEqual([
      'nat KUBE-FW-(shop/cart) -s 203.0.113.0/25 -m comment --comment "shop/cart loadbalancer IP" -j KUBE-EXT-(shop/cart)',
      'nat KUBE-FW-(shop/cart) -s 10.0.0.0/8 -m comment --comment "shop/cart loadbalancer IP" -j KUBE-EXT-(shop/cart)',
      'nat KUBE-FW-(shop/cart) -m comment --comment "other traffic to shop/cart will be dropped by KUBE-PROXY-FIREWALL"',
    ])
  })

  const sources = (scenario: Scenario): readonly (string | undefined)[] =>
    chain(scenario).map((rule) => / -s (\S+)/.exec(rule)?.[1])

  it('let the VIPs in where they let the node in, which sends from them', () => {
    const scenario = { ports: [{ ...guarded, loadBalancerSourceRanges: ['192.168.0.0/16'] }] }
    expect(sources(scenario)).toEqual(['192.168.0.0/16', '198.51.100.7/32', undefined])
    expect(sources({ ...scenario, node: { addresses: ['172.16.0.1'] } })).toEqual(['192.168.0.0/16', undefined])
    expect(sources({ ...scenario, node: 'unknown' })).toEqual(['192.168.0.0/16', undefined])
  })

  it.each([
    ['endpoints', { endpoints: [] }],
    ['VIPs', { loadBalancerVIPs: [] }],
    ['ranges', { loadBalancerSourceRanges: [] }],
  ])('make no firewall without %s', (_, without) => {
    expect(rulesOf({ ports: [{ ...guarded, ...without }] }, /KUBE-FW-|KUBE-PROXY-FIREWALL -d/)).toEqual([])
  })

  it('guard before the traffic policy is asked', () => {
    const ports = [{ ...guarded, externalTrafficPolicy: 'Local' as const, externalIPs: [], endpoints: [ELSEWHERE] }]
    expect(fronts({ ports })).toEqual([
      'filter KUBE-EXTERNAL-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j DROP',
      'filter KUBE-PROXY-FIREWALL -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j DROP',
      'nat KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j KUBE-FW-(shop/cart)',
    ])
  })
})
