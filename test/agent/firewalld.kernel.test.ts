import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type MessageBus,
  standInForFirewalld,
  startMessageBus,
} from '../../packages/node-iptables/src/test-support/message-bus.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { SMALL_WORLD } from './small-world.js'

describeIptables('an agent beside firewalld', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  let bus: MessageBus
  beforeAll(async () => {
    bus = await startMessageBus()
    node = await createAgentNode(folder)
    await node.server.putAll(SMALL_WORLD)
  })
  afterAll(async () => {
    await node.stopAll()
    node.remove()
    await bus.stop()
    folder.remove()
  })

  test('resyncs all rules when it starts and when it reloads, and records why', async () => {
    const agent = node.startAfter(`export DBUS_SYSTEM_BUS_ADDRESS='${bus.address}'`)
    await agent.hasSaid(/synced everything/)
    const full = (): number => agent.said().match(/synced everything/g)?.length ?? 0
    expect(full()).toBe(1)

    const firewalld = await standInForFirewalld(bus.address)
    await agent.hasSaid(/firewalld has started, and may have flushed tables: resyncing all rules/)
    await agent.hasSaid(/(?:synced everything[\s\S]*){2}/)
    // As its iptables backend does.
    node.run('iptables-nft -t nat -F')
    firewalld.reload()
    await agent.hasSaid(/firewalld was reloaded/)
    await node.converged(20_000)
    await agent.hasSaid(/(?:synced everything[\s\S]*){3}/)
    firewalld.stop()

    agent.signal('SIGTERM')
    expect((await agent.ended).status).toBe(0)
    const { stdout } = await node.pointsman('log', '--log', node.log, '--type', 'notice')
    expect(stdout).toMatch(/FIREWALL_RELOADED\s+firewalld was reloaded[\s\S]*FIREWALL_RELOADED\s+firewalld has started/)
  })
})
