import { DEFAULT_PROXY_CONFIG, type ServicePortName } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { runProcess } from 'node-iptables'
import { afterAll } from 'vitest'
import { describeWithNft, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { faultyWays } from '../test-support/faulty-ways.js'
import { LAYOUTS } from '../plan/rule-plan.js'
import { openNetlink } from './netlink.js'
import { openNft } from './nft.js'
import { createNftablesBackend } from './nftables-backend.js'

describeWithNft('in a kernel', () => {
  const namespaces: EnteredNamespace[] = []
  afterAll(() => {
    for (const namespace of namespaces.toReversed()) namespace.remove()
  })

  for (const { name: layout } of LAYOUTS)
    for (const way of ['nft alone', 'netlink for elements'] as const)
      backendContract({
        name: `nftables, layout ${layout}, ${way}`,
        create: async () => {
          namespaces.push(enterKernelNamespace())
          const { run, netlink, ...faults } = faultyWays(runProcess)
          let refused: ReadonlySet<ServicePortName> = new Set()
          faults.refuseWhen((lines) => [...refused].some((name) => lines.some((line) => isAdded(line, name))))
          const backend = createNftablesBackend({
            config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout, nodePortAddresses: 'primary' },
            families: ['IPv4', 'IPv6'],
            nft: await openNft({ run }),
            netlink: way === 'nft alone' ? undefined : netlink(await openNetlink()),
          })
          return { backend, fault: { ...faults, refuse: (owners) => void (refused = owners) } }
        },
      })
})

/**
 * `shop/cart:http/TCP/IPv4` is in the names of its chains as `shop/cart/tcp/http`; where it has no chain, in the comment of its front in the set of its number of endpoints,
 * `10.96.0.1 . tcp . 80 comment "shop/cart:http"`.
 */
function isAdded(line: string, name: ServicePortName): boolean {
  const [, namespace = '', service = '', port = '', protocol = '', family = ''] =
    /^(.*?)\/(.*?):(.*?)\/(.*?)\/(.*)$/.exec(name) ?? []
  const table = family === 'IPv4' ? ' ip kube-proxy ' : ' ip6 kube-proxy '
  if (!/^(?:add|insert) /.test(line) || !line.includes(table)) return false
  const chain = new RegExp(`-${namespace}/${service}/${protocol.toLowerCase()}/${port}(?![a-z0-9-])`)
  const front = new RegExp(` ${protocol.toLowerCase()} \\. \\d+ comment "${namespace}/${service}${port && `:${port}`}"`)
  return chain.test(line) || front.test(line)
}
