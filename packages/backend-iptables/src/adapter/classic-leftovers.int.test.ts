import { createFakeIptables } from 'node-iptables/fake'
import { describe } from 'vitest'
import { describeClassicLeftovers } from './test-support/classic-leftovers.js'

describe.each(['nft', 'legacy'] as const)('what kube-proxy 1.20 left in the fake tables of %s', (variant) => {
  describeClassicLeftovers(async () => ({ iptables: createFakeIptables({ family: 'IPv4', variant }), end: () => {} }))
})
