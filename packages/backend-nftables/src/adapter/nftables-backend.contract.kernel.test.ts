import { DEFAULT_PROXY_CONFIG, type ServicePortName } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { runProcess } from 'node-iptables'
import { afterAll } from 'vitest'
import { describeWithNft, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { faultyRun } from '../test-support/faulty-run.js'
import { openNft } from './nft.js'
import { createNftablesBackend } from './nftables-backend.js'

describeWithNft('in a kernel', () => {
  const namespaces: EnteredNamespace[] = []
  afterAll(() => {
    for (const namespace of namespaces.toReversed()) namespace.remove()
  })

  backendContract({
    name: 'nftables',
    create: async () => {
      namespaces.push(enterKernelNamespace())
      const { run, ...faults } = faultyRun(runProcess)
      let refused: ReadonlySet<ServicePortName> = new Set()
      faults.refuseWhen((lines) => [...refused].some((name) => lines.some((line) => isAdded(line, name))))
      const backend = createNftablesBackend({
        config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', nodePortAddresses: 'primary' },
        families: ['IPv4', 'IPv6'],
        nft: await openNft({ run }),
      })
      return { backend, fault: { ...faults, refuse: (owners) => void (refused = owners) } }
    },
  })
})

/** `shop/cart:http/TCP/IPv4` is in the names of its chains as `shop/cart/tcp/http`. */
function isAdded(line: string, name: ServicePortName): boolean {
  const [namespace = '', named = '', protocol = '', family = ''] = name.split('/')
  const [service = '', port = ''] = named.split(':')
  const table = family === 'IPv4' ? ' ip kube-proxy ' : ' ip6 kube-proxy '
  return (
    line.startsWith('add ') &&
    line.includes(table) &&
    new RegExp(`-${namespace}/${service}/${protocol.toLowerCase()}/${port}(?![a-z0-9-])`).test(line)
  )
}
