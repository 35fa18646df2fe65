import { expect, it } from 'vitest'
import { hasTable, ruleHandles } from './index.js'
import { enterNetwork, nft } from './test-support/own-network.js'
import { describeKernel } from './test-support/namespace.js'

describeKernel('a table', () => {
  it('is there in its family alone, by its whole name', async () => {
    const network = enterNetwork()
    try {
      nft(['add', 'table', 'ip', 'kube-proxy'])
      const places = [
        ['ip', 'kube-proxy'],
        ['ip6', 'kube-proxy'],
        ['inet', 'kube-proxy'],
        ['ip', 'kube'],
        ['ip', 'kube-proxy-2'],
      ] as const
      const found = places.map(async ([family, table]) => hasTable({ family, table }))
      expect(await Promise.all(found)).toEqual([true, false, false, false, false])
    } finally {
      network.leave()
    }
  })

  it('has rules with handles, in the order of the chain', async () => {
    const network = enterNetwork()
    try {
      nft(['add', 'table', 'ip', 'kube-proxy'])
      for (const chain of ['services', 'other']) nft(['add', 'chain', 'ip', 'kube-proxy', chain])
      nft(['add', 'rule', 'ip', 'kube-proxy', 'services', 'accept'])
      nft(['add', 'rule', 'ip', 'kube-proxy', 'other', 'drop'])
      nft(['insert', 'rule', 'ip', 'kube-proxy', 'services', 'drop'])
      const handlesOf = async (chain: string): Promise<readonly number[]> =>
        (await ruleHandles({ family: 'ip', table: 'kube-proxy', chain })).map(Number)
      const listed = nft(['-a', 'list', 'chain', 'ip', 'kube-proxy', 'services'])
      expect(await handlesOf('services')).toEqual(
        [...listed.matchAll(/(?:drop|accept) # handle (\d+)/g)].map(([, handle]) => Number(handle)),
      )
      expect(await handlesOf('services')).toHaveLength(2)
      expect(await handlesOf('other')).toHaveLength(1)
    } finally {
      network.leave()
    }
  })
})
