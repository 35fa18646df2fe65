import { describe } from 'vitest'
import { enterKernelNamespace, describeWithKernel } from '../test-support/kernel.js'
import { describeClassicLeftovers } from './test-support/classic-leftovers.js'

describeWithKernel('what kube-proxy 1.20 left', () => {
  describe.each(['nft', 'legacy'] as const)('in the tables of iptables-%s', (variant) => {
    describeClassicLeftovers(async () => {
      const namespace = enterKernelNamespace()
      return { iptables: await namespace.iptables({ family: 'IPv4', variant }), end: namespace.remove }
    })
  })
})
