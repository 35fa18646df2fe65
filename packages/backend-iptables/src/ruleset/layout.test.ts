import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { servicePortOf, stateOf } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import { planBase } from './base-rules.js'
import { rulesetContext } from './context.js'
import {
  CHAINS,
  chainsOfRole,
  CURRENT,
  deletionRank,
  endpointChainName,
  isServiceChain,
  type Layout,
  LAYOUTS,
  serviceChainNames,
} from './layout.js'

const LB = servicePortOf({ is: 'default/lb:p80', clusterIP: '10.96.8.8' })

describe('the chains of a service port', () => {
  it("are called as kube-proxy calls them: by the hash of the Service's and the port's name and the protocol", () => {
    expect(serviceChainNames(LB)).toEqual({
      cluster: 'KUBE-SVC-ULFSZB4ZNLMYB6HN',
      local: 'KUBE-SVL-ULFSZB4ZNLMYB6HN',
      external: 'KUBE-EXT-ULFSZB4ZNLMYB6HN',
      firewall: 'KUBE-FW-ULFSZB4ZNLMYB6HN',
    })
    expect(endpointChainName(LB, { address: '10.244.1.31', port: 80 })).toBe('KUBE-SEP-AZZAQHKMOZ72I4QT')
  })

  it('are called the same in both families, where IPv6 endpoints have brackets', () => {
    const dual = servicePortOf({ is: 'default/dual:http', clusterIP: 'fd00:10:96::1616' })
    expect(serviceChainNames(dual).cluster).toBe('KUBE-SVC-FWEJ5PXIIDWNU55J')
    expect(endpointChainName(dual, { address: 'fd00:10:244:1::101', port: 8080 })).toBe('KUBE-SEP-SE5TJWABB7S5NIZN')
  })

  it.each([
    ['another namespace', { is: 'other/lb:p80' }],
    ['another name', { is: 'default/lc:p80' }],
    ['another port name', { is: 'default/lb:p81' }],
    ['no port name', { is: 'default/lb' }],
    ['another protocol', { protocol: 'UDP' as const }],
  ])('differ for %s', (_, other) => {
    const port = servicePortOf({ is: 'default/lb:p80', clusterIP: '10.96.8.8', ...other })
    expect(serviceChainNames(port).cluster).not.toBe(serviceChainNames(LB).cluster)
  })

  it('have names that iptables takes: 28 characters at most', () => {
    const longest = servicePortOf({
      is: `${'n'.repeat(63)}/${'s'.repeat(63)}:${'p'.repeat(15)}`,
      clusterIP: '10.96.8.8',
    })
    for (const name of Object.values(serviceChainNames(longest)) as readonly string[]) {
      expect(name.length).toBeLessThanOrEqual(28)
    }
  })
})

describe('a chain that is deleted when its service is gone', () => {
  it.each(['KUBE-SVC-A', 'KUBE-SVL-A', 'KUBE-EXT-A', 'KUBE-XLB-A', 'KUBE-FW-A', 'KUBE-SEP-A'])('%s', (chain) => {
    expect(isServiceChain(chain)).toBe(true)
  })

  const others = [
    'DOCKER',
    'KUBE-MARK-DROP',
    'KUBE-HOSTPORTS',
    'KUBE-HP-A',
    'KUBE-KUBELET-CANARY',
    'MY-KUBE-SVC-A',
    'KUBE-IPVS-FILTER',
  ]
  it.each([...Object.values(CHAINS), ...others])('is not %s', (chain) => {
    expect(isServiceChain(chain)).toBe(false)
  })
})

describe.each(LAYOUTS.map((layout) => [layout.name, layout] as const))('the layout %s', (_, layout) => {
  it('has each chain once, and leads to no others', () => {
    const keys = layout.baseChains.map(({ table, chain }) => `${table} ${chain}`)
    expect(keys).toEqual([...new Set(keys)])
    for (const { table, rule } of layout.jumps)
      expect(keys).toContain(`${table} ${rule.target?.type === 'jump' ? rule.target.chain : ''}`)
  })

  it('is what a plan consists of', () => {
    const context = rulesetContext(stateOf({ ports: [] }), DEFAULT_PROXY_CONFIG, { family: 'IPv4' })
    const [, ...baseChains] = layout.baseChains
    const other: Layout = { ...layout, baseChains, jumps: [] }
    const { chains, jumps } = planBase({ ...context, layout: other })
    expect(chains.map(({ table, chain, role }) => ({ table, chain, role }))).toEqual(baseChains)
    expect(jumps).toEqual([])
  })
})

it('the chains that service ports share are those of the dispatch role', () => {
  expect(chainsOfRole(CURRENT, 'dispatch').map(({ table, chain }) => `${table} ${chain}`)).toEqual([
    'filter KUBE-SERVICES',
    'filter KUBE-EXTERNAL-SERVICES',
    'filter KUBE-NODEPORTS',
    'filter KUBE-PROXY-FIREWALL',
    'nat KUBE-SERVICES',
    'nat KUBE-NODEPORTS',
  ])
})

it('chains are deleted before those that they lead to, and what no service port has last', () => {
  const chains = ['KUBE-MARK-DROP', 'KUBE-SEP-A', 'KUBE-SVC-A', 'KUBE-SVL-A', 'KUBE-XLB-A', 'KUBE-EXT-A', 'KUBE-FW-A']
  expect(chains.map(deletionRank)).toEqual([5, 4, 3, 3, 2, 1, 0])
})
