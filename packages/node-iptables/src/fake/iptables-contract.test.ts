import { describe } from 'vitest'
import { iptablesContract } from '../test-support/iptables-contract.js'
import { createFakeIptables } from './create-fake-iptables.js'

describe('the fake is an Iptables', () => {
  for (const variant of ['nft', 'legacy'] as const) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      iptablesContract({
        variant,
        family,
        makeSubject: () => ({
          iptables: createFakeIptables({ variant, family, nfacctObjects: ['known'] }),
          remove: () => undefined,
        }),
      })
    }
  }
})
