import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { expect, it } from 'vitest'
import { plannedTable, planNftables } from '../plan/rule-plan.js'
import { nftablesDataplane } from '../dataplane.js'
import type { Element } from '../table/table.js'
import { MOST_SLOTS } from './compact.js'

type StateDescription = Parameters<typeof stateOf>[0]

const CONFIG: ProxyConfig = {
  ...DEFAULT_PROXY_CONFIG,
  mode: 'nftables',
  layout: 'compact',
  nodePortAddresses: 'primary',
}

const endpoints = (count: number, from = 1): readonly string[] =>
  Array.from({ length: count }, (_, index) => `10.244.1.${from + index}:8080@node-b`)

interface Found {
  /** Those of service ports. */
  readonly chains: readonly string[]
  readonly elements: (set: string) => readonly Element[]
}

function table(...ports: StateDescription['ports']): Found {
  const plan = planNftables({ state: stateOf({ ports }), config: CONFIG }, { family: 'IPv4' })
  const { chains, sets } = plannedTable(plan.parts())
  return {
    chains: [...chains.keys()].filter((name) => name.includes('/')),
    elements: (set: string) => [...(sets.get(set)?.elements.values() ?? [])],
  }
}

it('has no chain for a service port that does no more than to spread', () => {
  const found = table({
    is: 'shop/cart:http',
    clusterIP: '10.96.0.1',
    port: 80,
    nodePort: 30080,
    endpoints: endpoints(3),
  })
  expect(found.chains).toEqual([])
  expect(found.elements('service-ips')).toEqual([])
  expect(found.elements('spread-fronts-3').map(({ key, comment }) => [key, comment])).toEqual([
    [['10.96.0.1', 'tcp', 80], 'shop/cart:http'],
  ])
  expect(found.elements('spread-endpoints').map(({ key, data }) => [key.at(-1), data])).toEqual([
    [3 * 65_536, ['10.244.1.1', 8080]],
    [3 * 65_536 + 1, ['10.244.1.2', 8080]],
    [3 * 65_536 + 2, ['10.244.1.3', 8080]],
  ])
  expect(found.elements('spread-nodeports-3')).toHaveLength(1)
  expect(found.elements('spread-nodeport-endpoints')).toHaveLength(3)
})

it.each([
  ['session affinity', { affinitySeconds: 10_800, endpoints: endpoints(2) }],
  [
    'external traffic policy Local',
    { nodePort: 30080, externalTrafficPolicy: 'Local' as const, endpoints: endpoints(2) },
  ],
  ['more endpoints than there are slots', { endpoints: endpoints(MOST_SLOTS + 1) }],
])('has a chain for %s', (_, fields) => {
  const found = table({ is: 'shop/cart:http', clusterIP: '10.96.0.1', port: 80, ...fields })
  expect(found.chains).toContainEqual(expect.stringContaining('shop/cart/tcp/http'))
  expect(found.elements('service-ips')).toHaveLength(1)
  expect(found.elements('spread-endpoints')).toEqual([])
})

it('gives a front that two Services claim to the older one, with all that leads from it', () => {
  const older = {
    is: 'shop/old:http',
    clusterIP: '10.96.0.1',
    port: 80,
    externalIPs: ['203.0.113.9'],
    endpoints: endpoints(2),
    createdAt: '2026-01-01T00:00:00Z',
  }
  const younger = {
    is: 'shop/new:http',
    clusterIP: '10.96.0.2',
    port: 80,
    externalIPs: ['203.0.113.9'],
    endpoints: endpoints(5, 10),
    createdAt: '2026-01-02T00:00:00Z',
  }
  const found = table(younger, older)
  const ofFront = (set: string): readonly Element[] => found.elements(set).filter(({ key }) => key[0] === '203.0.113.9')
  expect(ofFront('spread-fronts-2')).toHaveLength(1)
  expect(ofFront('spread-fronts-5')).toEqual([])
  expect(ofFront('spread-endpoints').map(({ data }) => data?.[0])).toEqual(['10.244.1.1', '10.244.1.2'])
  expect(found.elements('spread-fronts-5')).toHaveLength(1)
})

it('is recognized by its sets', () => {
  for (const layout of ['compact', 'kube-proxy'] as const) {
    const plan = planNftables({ state: stateOf({ ports: [] }), config: { ...CONFIG, layout } }, { family: 'IPv4' })
    const found = nftablesDataplane.layoutFound?.(nftablesDataplane.loaded(plan))
    expect(found).toBe(layout === 'compact' ? 'compact' : undefined)
  }
})
