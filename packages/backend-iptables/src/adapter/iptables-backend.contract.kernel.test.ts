import { DEFAULT_PROXY_CONFIG, type ServicePortName } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { afterAll } from 'vitest'
import { describeWithKernel, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { refusing } from '../test-support/refusing.js'
import { createIptablesBackend } from './iptables-backend.js'

const unable = (): never => {
  throw new Error(NO_FAULTS)
}
const NO_FAULTS = 'a kernel fails when it likes: the tables in memory are made to'

describeWithKernel('in a kernel', () => {
  const namespaces: EnteredNamespace[] = []
  afterAll(() => {
    for (const namespace of namespaces.toReversed()) namespace.remove()
  })

  for (const variant of ['nft', 'legacy'] as const) {
    backendContract({
      name: `iptables-${variant}`,
      create: async () => {
        const namespace = enterKernelNamespace()
        namespaces.push(namespace)
        const iptables = await Promise.all(
          (['IPv4', 'IPv6'] as const).map((family) => namespace.iptables({ family, variant })),
        )
        let refused: ReadonlySet<ServicePortName> = new Set()
        const refusable = iptables.map((one) => refusing(one, () => refused))
        return {
          backend: createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: refusable }),
          fault: { failNext: unable, failHalfWay: unable, refuse: (owners) => void (refused = owners) },
        }
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
