import { planRuleset, renderSave } from '@pointsman/backend-iptables'
import {
  createConntrackHook,
  DEFAULT_PROXY_CONFIG,
  frontsOf,
  type ConntrackHook,
  type ConntrackReport,
  type Front,
  type IpFamily,
  type State,
} from '@pointsman/core'
import { conntrackCommands } from '@pointsman/core/io'
import { nodeInfoWith, servicePortOf, stateOf, type PortDescription } from '@pointsman/core/testing'
import { type Iptables, runProcess } from 'node-iptables'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { ADDRESSES, createUdpNetwork, type UdpNetwork } from './udp-network.js'

describeWithKernel(
  'UDP clients on the way to endpoints',
  () => {
    describe.each(['IPv4', 'IPv6'] as const)('%s', (family: IpFamily) => {
      const at = ADDRESSES[family]
      const [first, second] = at.pods
      const bracketed = (address: string): string => (family === 'IPv6' ? `[${address}]` : address)
      const NODE_PORT = 30_053
      const service = (...endpoints: readonly string[]): PortDescription => ({
        is: 'kube-system/dns',
        protocol: 'UDP',
        clusterIP: at.service,
        port: 53,
        nodePort: NODE_PORT,
        endpoints: endpoints.map((address) => `${bracketed(address)}:5353@node-a`),
      })
      const clusterIp = { address: at.service, port: 53, sourcePort: 40_000 }
      const nodePort = { address: at.node, port: NODE_PORT, sourcePort: 40_001 }

      let network: UdpNetwork
      let iptables: Iptables
      let hook: ConntrackHook
      let reports: ConntrackReport[]

      beforeAll(async () => {
        network = await createUdpNetwork([
          { address: first, port: 5353 },
          { address: second, port: 5353 },
          { address: first, port: NODE_PORT },
          { address: at.outside, port: 53 },
          { address: at.outside, port: NODE_PORT },
        ])
        iptables = await network.node.iptables({ family, variant: 'nft' })
      })
      afterAll(() => network.remove())

      beforeEach(() => {
        // Each test begins with a sync, which sweeps away what stands.
        network.node.run('sh', '-c', 'conntrack -F 2> /dev/null')
        hook = startHook()
      })
      afterEach(() => hook.close())

      const startHook = (formerFronts: readonly Front[] = []): ConntrackHook => {
        reports = []
        return createConntrackHook({
          config: DEFAULT_PROXY_CONFIG,
          families: [family],
          flows: conntrackCommands({ run: runProcess, prefix: network.node.prefix }),
          formerFronts: () => formerFronts,
          onReport: (report) => reports.push(report),
        })
      }

      /** Brings the rules of a state into force, as a sync does, and nothing of the flows. */
      const sync = async (...ports: readonly PortDescription[]): Promise<State> => {
        const state = stateOf({ ports, node: nodeInfoWith({ addresses: [at.node] }) })
        const lines = renderSave(planRuleset(state, DEFAULT_PROXY_CONFIG, { family }))
        // What stands is swept away first, so that the rules of each state are all that there is.
        await iptables.restore({ lines, flush: true, counters: true })
        return state
      }

      const reconcile = async (state: State): Promise<void> => {
        hook.afterSync(state)
        await hook.beforeSync()
        expect(reports.filter(({ type }) => type === 'failed')).toEqual([])
      }

      const flowsTo = async (address: string): Promise<number> => {
        let count = 0
        const commands = conntrackCommands({ run: runProcess, prefix: network.node.prefix })
        await commands.listFlows({ family, protocol: 'udp' }, ({ original }) => {
          if (original.dst === address) count++
        })
        return count
      }

      test.each([
        ['the cluster IP', clusterIp],
        ['a node port', nodePort],
      ])('go on to an endpoint that was replaced, by %s, until it is reconciled', async (_, place) => {
        await reconcile(await sync(service(first)))
        expect(await network.ask('client', place)).toBe(`${first} 5353`)
        const replaced = await sync(service(second))
        expect(await network.ask('client', place)).toBe(`${first} 5353`)
        await reconcile(replaced)
        expect(await network.ask('client', place)).toBe(`${second} 5353`)
        expect(reports.map(({ deleted }) => deleted)).toEqual([0, 1])
      })

      test('stay with their endpoint when another one is added, and while it serves', async () => {
        await reconcile(await sync(service(second)))
        expect(await network.ask('client', clusterIp)).toBe(`${second} 5353`)
        const ends = { at: `${bracketed(second)}:5353@node-a`, ready: false, terminating: true }
        const more = { ...service(first), endpoints: [...(service(first).endpoints ?? []), ends] }
        await reconcile(await sync(more))
        expect(await network.ask('client', clusterIp)).toBe(`${second} 5353`)
        expect(reports.map(({ deleted }) => deleted)).toEqual([0, 0])
      })

      test('are found again that came before the Service, and went nowhere', async () => {
        await reconcile(await sync())
        expect(await network.ask('client', clusterIp)).toBe('')
        expect(await flowsTo(at.service)).toBe(1)
        await reconcile(await sync(service(first)))
        expect(await network.ask('client', clusterIp)).toBe(`${first} 5353`)
      })

      test.each([
        ['has no endpoints any more', [service()]],
        ['is deleted', []],
      ])('lose their flows when the Service %s', async (_, ports) => {
        await reconcile(await sync(service(first)))
        for (const place of [clusterIp, nodePort]) expect(await network.ask('client', place)).toBe(`${first} 5353`)
        const gone = await sync(...ports)
        expect([await flowsTo(at.service), await flowsTo(at.node)]).toEqual([1, 1])
        await reconcile(gone)
        expect([await flowsTo(at.service), await flowsTo(at.node)]).toEqual([0, 0])
        expect(await network.ask('client', clusterIp)).toBe('')
      })

      test('lose their flows when the Service was deleted while nobody was there, if a log knows of it', async () => {
        await reconcile(await sync(service(first)))
        expect(await network.ask('client', clusterIp)).toBe(`${first} 5353`)
        await hook.close()
        hook = startHook(frontsOf(servicePortOf(service(first))))
        await reconcile(await sync())
        expect(await flowsTo(at.service)).toBe(0)
      })

      test('of others stay: same ports elsewhere, masqueraded, and translated by rules of their own', async () => {
        const tool = family === 'IPv4' ? 'iptables-nft' : 'ip6tables-nft'
        const others = (): void => {
          const target = `${bracketed(first)}:${NODE_PORT}`
          network.node.run(tool, ...'-t nat -A POSTROUTING -o pod -j MASQUERADE'.split(' '))
          const published = ['-d', at.node, '-p', 'udp', '--dport', '5399', '-j', 'DNAT', '--to-destination', target]
          network.node.run(tool, '-t', 'nat', '-A', 'PREROUTING', ...published)
        }
        const foreign = [
          { address: at.outside, port: 53, sourcePort: 40_002, answer: `${at.outside} 53` },
          { address: at.outside, port: NODE_PORT, sourcePort: 40_003, answer: `${at.outside} ${NODE_PORT}` },
          { address: at.node, port: 5399, sourcePort: 40_004, answer: `${first} ${NODE_PORT}` },
        ]
        await reconcile(await sync(service(first)))
        others()
        for (const { answer, ...place } of foreign) expect(await network.ask('client', place)).toBe(answer)
        expect(await network.ask('client', nodePort)).toBe(`${first} 5353`)
        for (const ports of [[service(second)], [service()], []]) await reconcile(await sync(...ports))
        expect([await flowsTo(at.outside), await flowsTo(at.node)]).toEqual([2, 1])
        expect(reports.map(({ deleted }) => deleted)).toEqual([0, 1, 0, 0])
      })

      test('on the node itself are looked after as well', async () => {
        await reconcile(await sync(service(first)))
        expect(await network.ask('node', clusterIp)).toBe(`${first} 5353`)
        await reconcile(await sync(service(second)))
        expect(await network.ask('node', clusterIp)).toBe(`${second} 5353`)
      })
    })
  },
  ['conntrack'],
)
