import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { SMALL_WORLD } from './small-world.js'

describeIptables('Kubernetes Events of an agent', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(SMALL_WORLD)
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })
  afterEach(async () => {
    await node.stopAll()
    await node.server.forgetEvents()
  })

  const soon = (look: () => Promise<void>): Promise<void> => vi.waitFor(look, { timeout: 30_000, interval: 100 })
  const posted = async (): Promise<readonly string[]> =>
    (await node.server.events()).map(
      ({ reportingController, reason }) => `${reportingController as string} ${reason as string}`,
    )

  test('say that it starts, and what it repairs', async () => {
    const agent = node.start()
    await agent.hasSaid(/synced everything/)
    await soon(async () => expect(await posted()).toEqual(['kube-proxy Starting']))
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await soon(async () => expect(await posted()).toEqual(['kube-proxy Starting', 'kube-proxy RulesRepaired']))
    const [, repaired] = await node.server.events()
    expect(repaired?.['note']).toMatch(
      /^IPv4 rules were modified externally and have been restored: chains nat KUBE-SERVICES; modified by: iptables-nft \(process \d+\)$/,
    )
    expect(repaired?.['regarding']).toEqual({ kind: 'Node', name: 'node-a', uid: 'node-a' })
  })

  test('are refused, and rules are written as ever', async () => {
    await node.server.misbehave({ type: 'status', code: 403 }, { kind: 'event' })
    const agent = node.start()
    await agent.hasSaid(/no Kubernetes Events are posted: the API server refuses them \(403/)
    await node.converged(30_000)
    expect(await posted()).toEqual([])
  })

  test('are posted by no agent that is not to post any', async () => {
    const before = await node.server.count({ kind: 'event' })
    const agent = node.start('--events=false')
    await agent.hasSaid(/synced everything/)
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await agent.hasSaid(/were modified externally/)
    agent.signal('SIGTERM')
    await agent.ended
    expect(await node.server.count({ kind: 'event' })).toBe(before)
  })

  test('say why it ended, where a port is taken and that is to be the end', async () => {
    const taken = createServer()
    await once(taken.listen(10256, '0.0.0.0'), 'listening')
    const agent = node.start('--bind-address-hard-fail', '--log', folder.path('hard.db'))
    expect((await agent.ended).status).not.toBe(0)
    taken.close()
    expect(await posted()).toContain('kube-proxy FailedToStartProxierHealthcheck')
  })
})
