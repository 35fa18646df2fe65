import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Iptables, Variant } from './iptables.js'
import { createIptables } from './create-iptables.js'
import type { Family } from './detect-variant.js'
import { runProcess } from './run-process.js'
import { enterNamespace, describeKernel, type Namespace } from './test-support/namespace.js'

const hints = { chains: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'], prefix: 'KUBE-' }

describeKernel('which variant the node uses', () => {
  let namespace: Namespace
  beforeEach(() => {
    namespace = enterNamespace()
  })
  afterEach(() => namespace.remove())

  const open = (family: Family, variant: Variant): Promise<Iptables> => createIptables({ family, variant })
  const found = async (): Promise<string> => {
    const { choice, capabilities } = await createIptables({ family: 'IPv4', hints })
    const warning = choice?.warning === undefined ? [] : ['warns']
    return [capabilities.variant, choice?.because, ...warning].join(', ')
  }

  test('looking makes no table', async () => {
    expect(await found()).toBe('nft, more rules')
    for (const names of ['ip_tables_names', 'ip6_tables_names']) {
      const argv = ['cat', `/proc/net/${names}`]
      expect((await runProcess({ argv })).stdout).toBe('')
    }
    expect(await (await open('IPv4', 'nft')).save()).toBe('')
  })

  test('a hint of either family decides, and of two that of nft; what is no hint in the other one is worth a warning', async () => {
    await (await open('IPv6', 'legacy')).ensureChain({ table: 'mangle', chain: 'KUBE-KUBELET-CANARY' })
    expect(await found()).toBe('legacy, hint chain')
    await (await open('IPv4', 'nft')).ensureChain({ table: 'nat', chain: 'KUBE-IPTABLES-HINT' })
    expect(await found()).toBe('legacy, hint chain')
    await (await open('IPv4', 'nft')).ensureChain({ table: 'nat', chain: 'KUBE-SERVICES' })
    expect(await found()).toBe('legacy, hint chain, warns')
    await (await open('IPv6', 'legacy')).ensureChain({ table: 'nat', chain: 'KUBE-SERVICES' })
    expect(await found()).toBe('legacy, hint chain, warns')
    await (await open('IPv6', 'nft')).ensureChain({ table: 'mangle', chain: 'KUBE-IPTABLES-HINT' })
    expect(await found()).toBe('nft, hint chain, warns')
  })

  test('without a hint the variant with more rules is taken', async () => {
    const rule = { table: 'filter', chain: 'INPUT', rule: ['-j', 'ACCEPT'] }
    await (await open('IPv4', 'legacy')).ensureRule({ ...rule, position: 'append' })
    expect(await found()).toBe('legacy, more rules')
    await (await open('IPv6', 'nft')).ensureRule({ ...rule, position: 'append' })
    expect(await found()).toBe('nft, more rules')
  })
})
