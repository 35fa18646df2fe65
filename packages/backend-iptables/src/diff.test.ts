import { expect, it } from 'vitest'
import type { PortDescription, StateDescription } from '@pointsman/core/testing'
import { stateOf } from '@pointsman/core/testing'
import { type ChainDifference, diffRules, type RulesAt } from '@pointsman/core'
import { iptablesDataplane } from './dataplane.js'
import { CLUSTER_CIDR } from './test-support/scenario.js'

const WEB = { is: 'shop/web', clusterIP: '10.96.0.1' }
const CART = { is: 'shop/cart', clusterIP: '10.96.0.2', endpoints: ['10.244.1.9:80'] }
const A = '10.244.1.1:80'
const B = '10.244.1.2:80'
const C = '10.244.1.3:80'

const at = (ports: readonly PortDescription[], node: StateDescription['node'] & object = {}): RulesAt => ({
  state: stateOf({ ports, node }),
  config: CLUSTER_CIDR,
})

/** `SIGN OWNER TABLE CHAIN RULE`, without hashes and comments. */
function told(before: RulesAt, after: RulesAt): readonly string[] {
  return diffRules(iptablesDataplane, { before, after }, { family: 'IPv4' }).flatMap((chain) =>
    chain.rules.map((rule) => line(chain, rule)),
  )
}

function line({ table, chain, owner }: ChainDifference, rule: ChainDifference['rules'][number]): string {
  const text = `${owner?.split('/')[1] ?? 'nobody'} ${table} ${chain} ${rule.item.text}`
    .replaceAll(/-[A-Z2-7]{16}/g, '')
    .replaceAll(/ -m comment --comment (?:"[^"]+"|\S+)/g, '')
  const share = (chances: number | undefined): string => (chances === undefined ? 'all' : chances.toFixed(2))
  return rule.type === 'odds' ? `~ ${text}: ${share(rule.before)} -> ${share(rule.after)}` : `${rule.type} ${text}`
}

it('tells nothing where nothing differs, in whatever order the ports come', () => {
  expect(told(at([WEB, CART]), at([CART, WEB]))).toEqual([])
})

it('tells what an endpoint brings with it, and the odds of its neighbours apart', () => {
  expect(told(at([{ ...WEB, endpoints: [A, B] }, CART]), at([{ ...WEB, endpoints: [A, B, C] }, CART]))).toEqual([
    'added web nat KUBE-SEP -s 10.244.1.3/32 -j KUBE-MARK-MASQ',
    'added web nat KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.244.1.3:80',
    '~ web nat KUBE-SVC -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP: 0.50 -> 0.33',
    '~ web nat KUBE-SVC -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP: all -> 0.50',
    'added web nat KUBE-SVC -j KUBE-SEP',
  ])
})

it('tells how a service that lost its endpoints moves from nat to filter', () => {
  expect(told(at([{ ...WEB, endpoints: [A] }]), at([WEB]))).toEqual([
    'added web filter KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    'removed web nat KUBE-SEP -s 10.244.1.1/32 -j KUBE-MARK-MASQ',
    'removed web nat KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.244.1.1:80',
    'removed web nat KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j KUBE-SVC',
    'removed web nat KUBE-SVC ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ',
    'removed web nat KUBE-SVC -j KUBE-SEP',
  ])
})

it('looks at every service port where the configuration is another', () => {
  const after = { ...at([CART]), config: { ...CLUSTER_CIDR, masqueradeAll: true } }
  expect(told(at([CART]), after)).toEqual([
    'removed cart nat KUBE-SVC ! -s 10.244.0.0/16 -d 10.96.0.2/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ',
    'added cart nat KUBE-SVC -d 10.96.0.2/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ',
  ])
})

it('tells the rules of no service, which follow from the Node', () => {
  const config = { ...CLUSTER_CIDR, nodePortAddresses: 'primary' as const }
  const here = { ...at([], { addresses: ['192.0.2.1'] }), config }
  const there = { ...at([], { addresses: ['192.0.2.2'] }), config }
  expect(told(here, there)).toEqual([
    'removed nobody nat KUBE-SERVICES -d 192.0.2.1/32 -j KUBE-NODEPORTS',
    'added nobody nat KUBE-SERVICES -d 192.0.2.2/32 -j KUBE-NODEPORTS',
  ])
})

it('tells a range that is there once more', () => {
  const guarded = (ranges: readonly string[]): RulesAt =>
    at([{ ...WEB, endpoints: [A], loadBalancerVIPs: ['203.0.113.1'], loadBalancerSourceRanges: ranges }])
  expect(told(guarded(['10.0.0.0/8']), guarded(['10.0.0.0/8', '10.0.0.0/8']))).toEqual([
    'added web nat KUBE-FW -s 10.0.0.0/8 -j KUBE-EXT',
  ])
})
