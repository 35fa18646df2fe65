import { DEFAULT_PROXY_CONFIG, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { runProcess } from 'node-iptables'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openNft } from '../adapter/nft.js'
import { createNftablesBackend } from '../adapter/nftables-backend.js'
import { LAYOUTS } from '../plan/rule-plan.js'
import { describeWithNft, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'

/*
 * What no recording has, by kube-proxy's setupNFTables (pkg/proxy/nftables/proxier.go): with node ports on all addresses there is no set nodeport-ips,
 * chain services asks `fib daddr type local` and for no loopback address, chain nodeport-endpoints-check for the latter alone; the
 * CIDRs of the family stand in one anonymous set, in which nft joins those that overlap or touch.
 */

const stateWith = (...serviceCidrs: readonly string[]): State =>
  stateOf({
    serviceCidrs,
    ports: [
      { is: 'shop/web:http', clusterIP: '10.96.0.1', port: 80, nodePort: 30080, endpoints: ['10.244.1.1:8080@node-b'] },
      { is: 'shop/idle:http', clusterIP: '10.96.0.2', port: 80, nodePort: 30081 },
    ],
  })

const LAYOUT_NAMES = LAYOUTS.map(({ name }) => name)

describeWithNft('in the kernel', () => {
  let namespace: EnteredNamespace
  beforeEach(() => {
    namespace = enterKernelNamespace()
  })
  afterEach(() => namespace.remove())

  const { signal } = new AbortController()
  const backendOf = async (layout: (typeof LAYOUT_NAMES)[number]) =>
    createNftablesBackend({
      config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout, nodePortAddresses: 'all' },
      families: ['IPv4', 'IPv6'],
      nft: await openNft({ run: runProcess }),
    })
  const all = (state: State) => ({ state, changed: 'all' as const, fromSeq: seq(1), toSeq: seq(1) })
  const rulesOf = (family: string, chain: string): readonly string[] =>
    namespace
      .run(['nft', 'list', 'chain', family, 'kube-proxy', chain])
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => / (?:vmap|drop|reject|jump|goto) ?/.test(line))

  it.each(LAYOUT_NAMES)('node ports on all addresses are on none of loopback, in layout %s', async (layout) => {
    const backend = await backendOf(layout)
    await backend.sync(all(stateWith()), signal)
    for (const [family, address, loopback] of [
      ['ip', 'ip', '127.0.0.0/8'],
      ['ip6', 'ip6', '::1'],
    ] as const) {
      expect(rulesOf(family, 'services')).toContain(
        `fib daddr type local ${address} daddr != ${loopback} meta l4proto . th dport vmap @service-nodeports`,
      )
      expect(rulesOf(family, 'nodeport-endpoints-check')).toEqual([
        `${address} daddr != ${loopback} meta l4proto . th dport vmap @no-endpoint-nodeports`,
      ])
      expect(namespace.run(['nft', 'list', 'table', family, 'kube-proxy'])).not.toContain('nodeport-ips')
    }
    await backend.close()
  })

  it.each(
    LAYOUT_NAMES.flatMap((layout) =>
      [
        [['10.96.0.0/12', '10.200.0.0/16', 'fd00:10:96::/112', 'fd00:20::/112'], '{ 10.96.0.0/12, 10.200.0.0/16 }'],
        [['10.96.0.0/12', '10.96.1.0/24', 'fd00:10:96::/112', 'fd00:20::/112'], '10.96.0.0/12'],
        [['10.96.0.0/16', '10.97.0.0/16', 'fd00:10:96::/112', 'fd00:20::/112'], '10.96.0.0/15'],
      ].map(([cidrs, listed]) => [layout, cidrs as readonly string[], listed as string] as const),
    ),
  )('several ServiceCIDRs are one rule a family, and no drift, in layout %s: %j', async (layout, cidrs, listed) => {
    const backend = await backendOf(layout)
    await backend.sync(all(stateWith(...cidrs)), signal)
    const dropped = (rules: readonly string[]) => rules.filter((rule) => rule.includes(' drop '))
    expect(dropped(rulesOf('ip', 'cluster-ips-check')).map((rule) => rule.replace(/\{ ([^,]*) \}/, '$1'))).toEqual([
      `ip daddr ${listed} drop comment "Drop traffic to unallocated ClusterIPs"`,
    ])
    expect(dropped(rulesOf('ip6', 'cluster-ips-check'))).toEqual([
      'ip6 daddr { fd00:10:96::/112, fd00:20::/112 } drop comment "Drop traffic to unallocated ClusterIPs"',
    ])
    expect(await backend.repairDrift(signal)).toEqual([])
    const again = await (await backendOf(layout)).sync(all(stateWith(...cidrs)), signal)
    expect(again).toMatchObject({ bytes: 0 })
    await backend.close()
  })
})
