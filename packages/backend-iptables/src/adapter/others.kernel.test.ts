import { buildState, DEFAULT_PROXY_CONFIG, seq, type State, type SyncRequest } from '@pointsman/core'
import type { Iptables, Variant } from 'node-iptables'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readGolden } from '../test-support/goldens.js'
import { describeWithKernel, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { createIptablesBackend } from './iptables-backend.js'
import type { ForeignReference } from './read-found.js'

const all = (state: State): SyncRequest => ({ state, changed: 'all', fromSeq: seq(1), toSeq: state.seq })

const signal = new AbortController().signal

/** What a node may have besides: kubelet's chains, a CNI's, an administrator's. */
const OTHERS = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
*filter
:CNI-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "CNI portfwd" -j CNI-FORWARD
-A CNI-FORWARD -d 10.244.1.0/24 -j ACCEPT
COMMIT
*nat
:CNI-HOSTPORT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT
-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
COMMIT
`

describeWithKernel('what is not ours', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant: Variant) => {
    const { state } = readGolden('load-balancer-source-ranges')
    const empty = buildState({ objects: [] }).state
    let namespace: EnteredNamespace
    let iptables: Iptables

    beforeEach(async () => {
      namespace = enterKernelNamespace()
      iptables = await namespace.iptables({ family: 'IPv4', variant })
      await iptables.restore({ text: OTHERS, flush: false, counters: false })
    })
    afterEach(() => namespace.remove())

    const backendWith = (onLeft?: (left: readonly ForeignReference[]) => void) =>
      createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [iptables], onLeft })

    const saved = async (): Promise<readonly string[]> =>
      (await iptables.save()).split('\n').filter((line) => !line.startsWith('#'))

    test('stays where it is through a sync and a cleanup, KUBE-FIREWALL as kubelet may have made it', async () => {
      const before = await saved()
      const backend = backendWith()
      await backend.sync(all(state), signal)
      const during = await saved()
      expect(before.filter((line) => !during.includes(line))).toEqual([])
      const [plan] = await backend.planCleanup()
      expect(plan?.left).toEqual([{ table: 'filter', chain: 'KUBE-FIREWALL', becauseOf: [] }])
      await backend.cleanup()
      const after = await saved()
      expect(after.filter((line) => !before.includes(line)).map((line) => line.split(' --comment')[0])).toEqual([
        '-A INPUT -j KUBE-FIREWALL',
        '-A OUTPUT -j KUBE-FIREWALL',
        '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment',
      ])
      expect(before.filter((line) => !after.includes(line))).toEqual([])
    })

    test('a chain that a rule of another program leads to is emptied, kept and named', async () => {
      const left: (readonly ForeignReference[])[] = []
      const backend = backendWith((references) => left.push(references))
      await backend.sync(all(state), signal)
      const chain =
        (await saved())
          .find((line) => line.startsWith(':KUBE-EXT-'))
          ?.slice(1)
          .split(' ')[0] ?? ''
      const rule = `-s 192.0.2.1/32 -j ${chain}`
      await iptables.restore({ text: `*nat\n-A PREROUTING ${rule}\nCOMMIT\n`, flush: false, counters: false })

      await backend.sync(all(empty), signal)
      expect((await saved()).filter((line) => line.includes(chain))).toEqual([
        `:${chain} - [0:0]`,
        `-A PREROUTING ${rule}`,
      ])
      expect(left).toEqual([[{ table: 'nat', from: 'PREROUTING', rule, chain }]])

      const [plan] = await backend.planCleanup()
      expect(plan?.left).toContainEqual({ table: 'nat', chain, becauseOf: [`-A PREROUTING ${rule}`] })
      await backend.cleanup()
      expect((await saved()).filter((line) => line.startsWith(':KUBE-'))).toEqual(
        expect.arrayContaining([`:${chain} - [0:0]`]),
      )
      expect(await backend.read()).toMatchObject({ rules: 0 })
    })

    test('jumps of ours that are lacking are put back before everything else, those that are there stay', async () => {
      const backend = backendWith()
      await backend.sync(all(state), signal)
      const jump = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
      await iptables.restore({ text: `*nat\n-D PREROUTING ${jump}\nCOMMIT\n`, flush: false, counters: false })
      await backend.sync(all(state), signal)
      expect((await saved()).filter((line) => line.startsWith('-A PREROUTING'))).toEqual([
        `-A PREROUTING ${jump}`,
        '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT',
      ])
    })
  })
})
