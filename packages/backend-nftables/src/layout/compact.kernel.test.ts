import { seq, type ProxyConfig, type State } from '@pointsman/core'
import { runProcess } from 'node-iptables'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openNft } from '../adapter/nft.js'
import { createNftablesBackend } from '../adapter/nftables-backend.js'
import { planNftables } from '../plan/rule-plan.js'
import { GOLDENS, readGolden } from '../test-support/goldens.js'
import { describeWithNft, differencesOf, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'

const FAMILIES = ['IPv4', 'IPv6'] as const

describeWithNft('the compact table', () => {
  let namespace: EnteredNamespace
  beforeEach(() => {
    namespace = enterKernelNamespace()
  })
  afterEach(() => namespace.remove())

  const listed = (family: (typeof FAMILIES)[number]): string =>
    namespace.run(['nft', '-s', '-j', 'list', 'table', family === 'IPv4' ? 'ip' : 'ip6', 'kube-proxy'])

  async function sync(state: State, config: ProxyConfig): Promise<void> {
    const nft = await openNft({ run: runProcess })
    const backend = createNftablesBackend({ config, families: FAMILIES, nft })
    await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, new AbortController().signal)
    await backend.close()
  }

  it.each(GOLDENS)(
    'becomes that of kube-proxy, and that becomes what is rendered, without a rest: %s',
    async (scenario) => {
      const { state, config, listing } = readGolden(scenario)
      const compact = { ...config, layout: 'compact' as const }
      for (const family of FAMILIES) {
        const plan = planNftables({ state, config: compact }, { family })
        namespace.run(['nft', '-f', '-'], [...plan.listing(plan.parts()), ''].join('\n'))
      }
      const rendered = { IPv4: listed('IPv4'), IPv6: listed('IPv6') }
      await sync(state, config)
      for (const family of FAMILIES) expect(differencesOf(listing[family], listed(family))).toEqual([])
      await sync(state, compact)
      for (const family of FAMILIES) expect(differencesOf(rendered[family], listed(family))).toEqual([])
    },
  )
})
