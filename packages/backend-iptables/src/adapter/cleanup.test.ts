import { DEFAULT_PROXY_CONFIG, seq } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { createFakeIptables } from 'node-iptables/fake'
import { describe, expect, it } from 'vitest'
import { GOLDENS, readGolden } from '../test-support/goldens.js'
import { createIptablesBackend } from './iptables-backend.js'

it.each([1, 7, 100_000])('a cleanup in restores of %s lines leaves nothing but KUBE-FIREWALL', async (maxLines) => {
  const iptables = createFakeIptables({ family: 'IPv4', variant: 'nft' })
  const limits = { maxLines, rewriteAt: 10, deletionWeight: 1 }
  const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [iptables], limits })
  const ports = Array.from({ length: 9 }, (_, index) => ({
    is: `shop/service-${index}:http`,
    clusterIP: `10.96.0.${index + 1}`,
    nodePort: 30_000 + index,
    loadBalancerVIPs: [`203.0.113.${index + 1}`],
    loadBalancerSourceRanges: ['192.0.2.0/24'],
    externalTrafficPolicy: 'Local' as const,
    endpoints: [`10.244.1.${index + 1}:80@node-a`, `10.244.2.${index + 1}:80@node-b`],
  }))
  const state = stateOf({ ports, node: {} })
  await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, new AbortController().signal)
  iptables.forgetCalls()
  await backend.cleanup()
  expect(
    iptables
      .text()
      .split('\n')
      .filter((line) => line.includes('KUBE-') && !line.includes('KUBE-FIREWALL')),
  ).toEqual([])
  const restores = iptables.calls.filter(({ program }) => program === 'restore').length
  expect(restores === 1).toBe(maxLines === 100_000)
})

describe.each(['IPv4', 'IPv6'] as const)('a cleanup after a sync leaves nothing but KUBE-FIREWALL: %s', (family) => {
  it.each(GOLDENS)('%s', async (scenario) => {
    const { state, config } = readGolden(scenario)
    for (const variant of ['nft', 'legacy'] as const) {
      const iptables = createFakeIptables({ family, variant })
      const backend = createIptablesBackend({ config, iptables: [iptables] })
      await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: state.seq }, new AbortController().signal)
      expect(iptables.text()).toContain('KUBE-SERVICES')
      await backend.cleanup()
      const left = iptables.text().match(/^.*KUBE-.*$/gm) ?? []
      expect(left.filter((line) => !line.includes('KUBE-FIREWALL'))).toEqual([])
    }
  })
})
