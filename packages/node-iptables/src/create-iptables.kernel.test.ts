import { createIptables } from './create-iptables.js'
import { runProcess } from './run-process.js'
import { iptablesContract } from './test-support/iptables-contract.js'
import { createNamespace, describeKernel } from './test-support/namespace.js'

describeKernel('iptables in a namespace of its own', () => {
  for (const variant of ['nft', 'legacy'] as const) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      iptablesContract({
        variant,
        family,
        makeSubject: async () => {
          const namespace = createNamespace()
          await runProcess({ argv: [...namespace.prefix, 'nfacct', 'add', 'known'] })
          const iptables = await createIptables({ family, variant, prefix: namespace.prefix })
          return { iptables, remove: () => namespace.remove() }
        },
      })
    }
  }
})
