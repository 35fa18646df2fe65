import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { afterAll } from 'vitest'
import { createKernelNamespace, describeWithKernel, type KernelNamespace } from '../test-support/kernel.js'
import { createIptablesBackend } from './iptables-backend.js'

const NO_FAULTS = 'a kernel fails when it likes: the tables in memory are made to'

describeWithKernel('in a kernel', () => {
  const namespaces: KernelNamespace[] = []
  afterAll(() => {
    for (const namespace of namespaces) namespace.remove()
  })

  for (const variant of ['nft', 'legacy'] as const) {
    backendContract({
      name: `iptables-${variant}`,
      create: async () => {
        const namespace = createKernelNamespace()
        namespaces.push(namespace)
        const iptables = await Promise.all(
          (['IPv4', 'IPv6'] as const).map((family) => namespace.iptables({ family, variant })),
        )
        return { backend: createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables }) }
      },
      skips: {
        incremental: 'sixty syncs, which the tables in memory do in a second',
        'after failure': NO_FAULTS,
        'after half a failure': NO_FAULTS,
        'retry after half a failure': NO_FAULTS,
      },
    })
  }
})
