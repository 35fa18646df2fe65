import { createIptables } from './create-iptables.js'
import type { Iptables } from './iptables.js'
import { runProcess } from './run-process.js'
import { iptablesContract } from './test-support/iptables-contract.js'
import { enterNamespace, describeKernel } from './test-support/namespace.js'

describeKernel('iptables in a namespace of its own', () => {
  for (const variant of ['nft', 'legacy'] as const) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      // It belongs to no namespace: its commands run where this thread is.
      let found: Promise<Iptables> | undefined
      iptablesContract({
        variant,
        family,
        makeSubject: async () => {
          const namespace = enterNamespace()
          await runProcess({ argv: ['nfacct', 'add', 'known'] })
          found ??= createIptables({ family, variant })
          return { iptables: await found, remove: () => namespace.remove() }
        },
      })
    }
  }
})
