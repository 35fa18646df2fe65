import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { type PortDescription, stateOf } from '@pointsman/core/testing'
import { parseSave } from 'node-iptables'
import { expect, test } from 'vitest'
import { renderSave } from '../render/owned-rules.js'
import { planRuleset } from '../ruleset/service-rules.js'
import { claimedFronts } from './audit-rules.js'

const OLD: PortDescription = {
  is: 'web/old:http',
  clusterIP: '10.96.0.1',
  endpoints: ['10.244.1.1:80@node-a'],
  createdAt: '2026-01-01T00:00:00Z',
}
const YOUNG: PortDescription = {
  is: 'web/young:http',
  clusterIP: '10.96.0.2',
  endpoints: ['10.244.1.2:80@node-a'],
  createdAt: '2026-02-02T00:00:00Z',
}

/** What is noted of rules, in which the named Service's come first. */
function notesOf(ports: readonly PortDescription[], first: 'old' | 'young'): readonly string[] {
  const family = ports.some(({ clusterIP }) => clusterIP.includes(':')) ? 'IPv6' : 'IPv4'
  const state = stateOf({ ports, node: {} })
  const lines = [...renderSave(planRuleset(state, DEFAULT_PROXY_CONFIG, { family }))]
  const isLast = (line: string): number =>
    Number(/^-A KUBE-(?:SERVICES|NODEPORTS) /.test(line) && !line.includes(`web/${first}`))
  const sorted = lines.map((line, at) => ({ line, at, chain: /^-A (?:KUBE-SERVICES|KUBE-NODEPORTS) /.exec(line)?.[0] }))
  const ordered = sorted.toSorted((a, b) =>
    a.chain !== undefined && a.chain === b.chain ? isLast(a.line) - isLast(b.line) || a.at - b.at : a.at - b.at,
  )
  const tables = parseSave(ordered.map(({ line }) => line).join('\n'))
  return claimedFronts(tables, state, family).map(
    ({ text, found }) => `${text.replace(/\. kube-proxy .*/, '')} [${found.length}]`,
  )
}

test.each<[string, readonly PortDescription[], string]>([
  [
    'one external IP',
    [OLD, YOUNG].map((port) => ({ ...port, externalIPs: ['203.0.113.9'] })),
    '203.0.113.9:80 (TCP) is claimed by web/old:http and web/young:http',
  ],
  [
    'an external IP that is the load-balancer IP of the other',
    [
      { ...OLD, externalIPs: ['203.0.113.9'] },
      { ...YOUNG, loadBalancerVIPs: ['203.0.113.9'], loadBalancerSourceRanges: ['192.0.2.0/24'] },
    ],
    '203.0.113.9:80 (TCP) is claimed by web/old:http and web/young:http',
  ],
  [
    'an external IP that is the cluster IP of the other',
    [OLD, { ...YOUNG, externalIPs: ['10.96.0.1'] }],
    '10.96.0.1:80 (TCP) is claimed by web/old:http and web/young:http',
  ],
  [
    'one node port',
    [OLD, YOUNG].map((port) => ({ ...port, nodePort: 30_080 })),
    'node port 30080 (TCP) is claimed by web/old:http and web/young:http',
  ],
  [
    'one external IP in IPv6',
    [
      { ...OLD, clusterIP: 'fd00::1', externalIPs: ['2001:db8::9'], endpoints: ['[fd00:1::1]:80@node-a'] },
      { ...YOUNG, clusterIP: 'fd00::2', externalIPs: ['2001:db8::9'], endpoints: ['[fd00:1::2]:80@node-a'] },
    ],
    '[2001:db8::9]:80 (TCP) is claimed by web/old:http and web/young:http',
  ],
])('two Services with %s: the first on this node is named', (_, ports, wanted) => {
  const isGuarded = ports.some(({ loadBalancerSourceRanges = [] }) => loadBalancerSourceRanges.length > 0)
  for (const first of ['old', 'young'] as const) {
    const but = isGuarded && first === 'young' ? ', but for those that its source ranges keep out' : ''
    const text = `${wanted}: on this node web/${first}:http is first and has its packets${but} [2]`
    expect(notesOf(ports, first)).toEqual([text])
  }
})

test.each<[string, readonly PortDescription[]]>([
  [
    'of which one has no endpoints',
    [{ ...OLD, endpoints: [] }, YOUNG].map((port) => ({ ...port, externalIPs: ['203.0.113.9'] })),
  ],
  ['of other ports', [{ ...OLD, port: 81 }, YOUNG].map((port) => ({ ...port, externalIPs: ['203.0.113.9'] }))],
  [
    'of other protocols',
    [{ ...OLD, protocol: 'UDP' as const }, YOUNG].map((port) => ({ ...port, externalIPs: ['203.0.113.9'] })),
  ],
])('nothing is noted of two Services %s', (_, ports) => {
  expect(notesOf(ports, 'old')).toEqual([])
})
