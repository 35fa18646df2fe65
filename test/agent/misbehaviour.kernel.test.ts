import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { listsAskedOf, webService, webSlice, worldOf } from '../source/world.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import type { RunningAgent } from './running-agent.js'
import { createSteadyChanges, type SteadyChanges } from './steady-changes.js'

const SERVICES = 30
const KINDS = 3

interface Fault {
  /** The server goes wrong, and changes are made of which the agent hears nothing. */
  readonly begin: () => Promise<void>
  readonly end: () => Promise<void>
}

/** What test/source shows of the source alone, in the rules of an agent that goes through all of it. */
describeIptables('an agent whose API server misbehaves', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  let changes: SteadyChanges
  let agent: RunningAgent
  beforeAll(async () => {
    node = await createAgentNode(folder)
    changes = createSteadyChanges(node.server, SERVICES)
    await node.server.putAll(worldOf(SERVICES))
  })
  // One that has lost nothing yet: the more often a watch was lost, the longer are the pauses.
  beforeEach(async () => {
    agent = node.start('--iptables-min-sync-period', '100ms')
    await agent.hasSaid(/synced everything/)
    await agent.hasSaid(/watching EndpointSlice/)
  })
  afterEach(async () => {
    await changes.pause()
    await node.stopAll()
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  const lists = async (): Promise<number> => listsAskedOf({ requests: await node.server.requests() })
  const changeFor = async (ms: number): Promise<void> => {
    changes.resume()
    await sleep(ms)
    await changes.pause()
  }
  /** Gives how many lists it took until the rules were right. */
  const listsUntilRight = async (fault: Fault): Promise<number> => {
    const before = await lists()
    await fault.begin()
    await fault.end()
    await node.converged(40_000)
    return (await lists()) - before
  }
  const expectNothingMissed = (): Promise<void> =>
    expect.poll(() => changes.missingIn(node.log), { timeout: 10_000 }).toEqual([])

  test('brings into force what happened while it was away, and lists nothing', async () => {
    const listed = await listsUntilRight({
      async begin() {
        await node.server.goAway()
        await changeFor(500)
      },
      end: () => node.server.comeBack(),
    })
    expect(listed).toBe(0)
    await expectNothingMissed()
  })

  test('follows a cluster through watches that are cut all the time, and lists nothing', async () => {
    const before = await lists()
    changes.resume()
    for (let cut = 0; cut < 5; cut++) {
      await sleep(300)
      await node.server.disturb({ type: 'reset' })
    }
    await changes.pause()
    await node.converged(40_000)
    expect(await lists()).toBe(before)
    await expectNothingMissed()
  })

  test('serves from its log while its kubeconfig cannot be used, and follows the cluster once it can', async () => {
    agent.signal('SIGTERM')
    await agent.ended
    const kubeconfig = folder.path('broken-kubeconfig')
    writeFileSync(kubeconfig, 'clusters: [')
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    const second = node.start('--kubeconfig', kubeconfig, '--iptables-min-sync-period', '100ms')
    await second.hasSaid(/broken-kubeconfig: invalid kubeconfig: .*retrying every 5 s/)
    await second.hasSaid(/synced everything/)
    await node.converged(10_000)
    expect(await node.differences()).toEqual([])
    writeFileSync(kubeconfig, await node.server.kubeconfig())
    await second.hasSaid(/watching EndpointSlices/)
    await node.server.put(webSlice(6, 7))
    await node.converged(10_000)
  })

  test('finds out that its connection leads nowhere any more, though nothing said so', async () => {
    const port = /127\.0\.0\.1:(\d+)/.exec(await node.server.kubeconfig())?.[1] ?? ''
    const rules = ['--dport', '--sport'].map((side) => `PREROUTING -t raw -p tcp ${side} ${port} -j DROP`)
    const listed = await listsUntilRight({
      async begin() {
        for (const rule of rules) node.run(`iptables-nft -I ${rule}`)
        await changeFor(500)
        // Long before two bookmarks are missed.
        await agent.hasSaid(/connection to the API server is lost: .*ETIMEDOUT/)
      },
      async end() {
        for (const rule of rules) node.run(`iptables-nft -D ${rule}`)
      },
    })
    expect(listed).toBe(0)
    await expectNothingMissed()
  })

  test('is let in again after it was refused for a while, and lists nothing', async () => {
    const listed = await listsUntilRight({
      async begin() {
        await node.server.setTokens({})
        await node.server.disturb({ type: 'reset' })
        await changeFor(500)
        await agent.hasSaid(/watches are down: .*401/)
      },
      end: () => node.server.setTokens({ [node.server.token]: 'system:kube-proxy' }),
    })
    expect(listed).toBe(0)
    await expectNothingMissed()
  })

  test('lists each kind once where history was forgotten, and takes back what was deleted meanwhile', async () => {
    expect(node.run('iptables-nft-save -t nat')).toContain('shop/web-4:http')
    const before = await lists()
    const listed = await listsUntilRight({
      async begin() {
        await node.server.goAway()
        await node.server.delete(webService(4))
        await node.server.put(webSlice(5, 9))
        await node.server.compact()
      },
      end: () => node.server.comeBack(),
    })
    expect(listed).toBeLessThanOrEqual(KINDS)
    // The rules are right without the Node, whose turn may come last.
    await expect.poll(async () => (await lists()) - before, { timeout: 40_000 }).toBe(KINDS)
    const isReady = async (): Promise<number> => (await node.get('http://127.0.0.1:10249/readyz')).status
    await expect.poll(isReady, { timeout: 40_000 }).toBe(200)
    expect((await lists()) - before).toBe(KINDS)
    expect(node.run('iptables-nft-save -t nat')).not.toContain('shop/web-4:http')
    const { stdout } = await node.pointsman('log', '--log', node.log, '--oneline', '--limit', '200')
    expect(stdout).toMatch(/RELIST/)
  })
})
