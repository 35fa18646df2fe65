import { expect, it } from 'vitest'
import { hasTable } from './index.js'
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
})
